use crate::{assert_done, assert_failed_without, assert_well_behaved};
use lazaret_e2e::{Ran, Runner, as_root_and_user, installed};

as_root_and_user![
    a_pdf_is_read_drawn_and_taken_apart,
    a_pdf_cut_short_or_circular_hurts_nobody,
    no_other_program_is_started,
];

/// `three.pdf` in the work directory: three pages with a word each.
fn three_pages(runner: &Runner) -> bool {
    if !installed("/usr/bin/pdftotext", "poppler-utils") || !installed("/usr/bin/gs", "ghostscript") {
        return false;
    }
    let page = |word| format!("/Helvetica findfont 40 scalefont setfont 100 500 moveto ({word}) show showpage\n");
    let pages: String = ["Venice", "Ragusa", "Marseille"].map(page).concat();
    runner.put("three.ps", format!("%!PS\n{pages}"));
    let size = ["-dDEVICEWIDTHPOINTS=600", "-dDEVICEHEIGHTPOINTS=800", "-dFIXEDMEDIA"];
    let files = ["-sDEVICE=pdfwrite", "-o", "three.pdf", "three.ps"];
    assert_done(&runner.bare("/usr/bin/gs", &[&["-q", "-dBATCH", "-dNOPAUSE"], &size[..], &files].concat()));
    true
}

fn poppler(runner: &Runner, outputs: &[&str], command: &[&str]) -> Ran {
    runner.run(&[&["--profile", "poppler", "--in", "three.pdf"], outputs, &["--"], command].concat())
}

fn a_pdf_is_read_drawn_and_taken_apart(runner: &Runner) {
    if !three_pages(runner) {
        return;
    }

    let text = poppler(runner, &[], &["pdftotext", "three.pdf", "-"]);
    let info = poppler(runner, &[], &["pdfinfo", "three.pdf"]);
    let fonts = poppler(runner, &[], &["pdffonts", "three.pdf"]);
    let images = poppler(runner, &[], &["pdfimages", "-list", "three.pdf"]);
    let picture = poppler(runner, &["--out", "p-2.png"], &["pdftoppm", "-png", "-r", "72", "three.pdf", "p"]);
    let drawing = poppler(runner, &["--out", "d.svg"], &["pdftocairo", "-svg", "-l", "1", "three.pdf", "d.svg"]);
    let page = poppler(runner, &["--out", "h.html"], &["pdftohtml", "-s", "-i", "-noframes", "three.pdf", "h.html"]);
    let one = poppler(runner, &["--out", "one-3.pdf"], &["pdfseparate", "three.pdf", "one-%d.pdf"]);
    let six = poppler(runner, &["--out", "six.pdf"], &["pdfunite", "three.pdf", "three.pdf", "six.pdf"]);

    for ran in [&text, &info, &fonts, &images, &picture, &drawing, &page, &one, &six] {
        assert_well_behaved(ran);
    }
    assert_eq!(text.stdout().split_whitespace().collect::<Vec<_>>(), ["Venice", "Ragusa", "Marseille"]);
    assert!(info.stdout().contains("Pages:           3"), "{info}");
    assert!(fonts.stdout().contains("Type 1"), "{fonts}");
    // Width and height stand in the header of a PNG.
    assert_eq!(runner.read("p-2.png")[16..24], [0, 0, 2, 88, 0, 0, 3, 32], "600 × 800");
    assert!(String::from_utf8_lossy(&runner.read("h.html")).contains("Marseille"));
    assert!(runner.read("one-3.pdf").starts_with(b"%PDF") && runner.read("six.pdf").starts_with(b"%PDF"));
    assert!(String::from_utf8_lossy(&runner.read("d.svg")).contains("<svg"));
}

fn a_pdf_cut_short_or_circular_hurts_nobody(runner: &Runner) {
    if !three_pages(runner) {
        return;
    }
    let whole = runner.read("three.pdf");
    runner.put("cut.pdf", &whole[..whole.len() / 3]);
    // A tree of pages that is its own child.
    let circle = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n\
                  2 0 obj<</Type/Pages/Count 9/Kids[2 0 R 2 0 R]>>endobj\ntrailer<</Root 1 0 R>>\n";
    runner.put("circle.pdf", circle);

    let draw = |upload| {
        runner.run(&["--profile", "poppler", "--in", upload, "--out", "p-1.png", "--", "pdftoppm", "-png", upload, "p"])
    };

    let cut = draw("cut.pdf");
    assert_failed_without("p-1.png", runner, &cut);
    let circle = draw("circle.pdf");

    // Its first page is empty: nothing else is to be said of it.
    assert!(matches!(circle.report.kind(), "ok" | "exit"), "{circle}");
    assert!(circle.stderr().contains("Loop in Pages tree"), "{circle}");
}

fn no_other_program_is_started(runner: &Runner) {
    let ran = runner.run(&["--profile", "poppler", "--", "sh", "-c", "true; /usr/bin/id; echo more"]);

    assert!(!ran.stdout().contains("uid="), "{ran}");
    assert_eq!(ran.report.kind(), "exit", "{ran}");
}
