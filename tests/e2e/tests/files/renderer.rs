//! A renderer in C++ with threads: its font and its configuration are read first, and a scene takes over one of its
//! threads then. Nothing can be had from there.

use crate::{Programs, TIERS, brokered, text};
use lazaret_e2e::{Runner, as_root_and_user};
use std::path::PathBuf;

as_root_and_user![
    a_scene_is_drawn_in_two_phases,
    a_scene_that_takes_over_a_thread_gets_nothing,
    without_a_second_phase_it_gets_what_the_job_was_given,
];

const CONFIGURATION: &str = "24 16 0 0 64\n";
const FONT: &str = "H #...# #...# #...# ##### #...# #...# #...#\nI .###. ..#.. ..#.. ..#.. ..#.. ..#.. .###.\n";
const SCENE: &str = "disc 12 8 6 200 100 0\ntext 2 2 HI\n";
const PHASE: &str = "[phase.work]\nwrite = [\"/job\"]\n";

/// The program with what its first phase needs, and what a stranger would have of it.
struct Renderer {
    programs: Programs,
    program: PathBuf,
    wanted: Vec<PathBuf>,
}

impl Renderer {
    fn new(runner: &Runner) -> Option<Self> {
        let programs = Programs::new();
        let program = programs.compile("renderer.cc", "renderer", &[])?;
        let mut wanted =
            vec![programs.put("configuration", CONFIGURATION), programs.put("font", FONT), program.clone()];
        wanted.extend(["/usr/bin/true", "/usr/lib", "/etc/ld.so.cache", "/proc/self/maps"].map(PathBuf::from));
        // Which no phase has.
        wanted.push(runner.put("secret", "of the host"));
        Some(Self { programs, program, wanted })
    }

    /// Draws `scene` in `tier` with `phases` in its policy, and returns the picture and what was said on standard error.
    fn draw(&self, runner: &Runner, tier: &str, (phases, scene): (&str, &str)) -> (Vec<u8>, String) {
        runner.put("scene", scene);
        let wanted: Vec<_> = self.wanted.iter().map(|path| path.display().to_string()).collect();
        let environment = format!("[environment]\nset = {{ PLANTED = \"{}\" }}\n", wanted.join(":"));
        let more = format!("{}{phases}{environment}", self.programs.shown());
        let ended = brokered(runner, tier, ("default", &more))
            .options(["--in", "scene", "--out", "picture.ppm"])
            .command([&self.program, &self.wanted[0], &self.wanted[1]])
            .arguments(["scene", "picture.ppm"])
            .run();

        text(&ended);
        let by = ended.report["files"]["work"]["by"].as_str();
        assert_eq!(by, (!phases.is_empty()).then_some("input-opened"), "{tier}");
        let picture = runner.read("picture.ppm");
        std::fs::remove_file(runner.path("picture.ppm")).expect("it is there");
        (picture, ended.stderr)
    }
}

fn a_scene_is_drawn_in_two_phases(runner: &Runner) {
    let Some(renderer) = Renderer::new(runner) else { return };
    for tier in TIERS {
        let (picture, said) = renderer.draw(runner, tier, (PHASE, SCENE));

        let header = b"P6\n24 16\n255\n";
        let pixel = |x: usize, y: usize| &picture[header.len() + (y * 24 + x) * 3..][..3];
        assert!(picture.starts_with(header) && picture.len() == header.len() + 24 * 16 * 3, "{tier}");
        assert_eq!([pixel(23, 15), pixel(12, 8), pixel(2, 2)], [&[0, 0, 64], &[200, 100, 0], &[0, 0, 0]], "{tier}");
        assert_eq!(said, "", "{tier}");
    }
}

fn a_scene_that_takes_over_a_thread_gets_nothing(runner: &Runner) {
    let Some(renderer) = Renderer::new(runner) else { return };
    for tier in TIERS {
        let (good, _) = renderer.draw(runner, tier, (PHASE, SCENE));
        let (picture, said) = renderer.draw(runner, tier, (PHASE, &format!("exploit\n{SCENE}")));

        assert_eq!(said, "tried\n", "{tier}");
        assert!(picture == good, "the picture is drawn all the same in {tier}");
    }
}

fn without_a_second_phase_it_gets_what_the_job_was_given(runner: &Runner) {
    let Some(renderer) = Renderer::new(runner) else { return };
    for tier in TIERS {
        let (_, said) = renderer.draw(runner, tier, ("", &format!("exploit\n{SCENE}")));

        for wanted in renderer.wanted.iter().filter(|wanted| !wanted.ends_with("secret")) {
            let had = [format!("opened {}\n", wanted.display()), format!("listed {}\n", wanted.display())];
            assert!(had.iter().any(|had| said.contains(had)), "{} in {tier}: {said}", wanted.display());
        }
        assert!(said.contains("executed /usr/bin/true\n") && !said.contains("secret"), "{tier}: {said}");
    }
}
