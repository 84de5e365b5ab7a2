//! What was fetched is an input.

use crate::web::{Answer, Web};
use crate::{TIERS, brokered, text};
use lazaret_e2e::{Internet, NameServer, Runner, Says, as_root_and_user_in_an_internet};

as_root_and_user_in_an_internet![the_work_begins_when_a_fetched_file_is_opened];

fn the_work_begins_when_a_fetched_file_is_opened(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&[("files.example.com", Says::at(&["93.184.216.34"]))]);
    let _web = Web::http("[::]:80", |_| Answer::of("fetched\n"));
    let fetch = "[[fetch]]\nurl = \"http://files.example.com/\"\nto = \"file\"\nmax-bytes = \"1MiB\"\n";
    let more = format!("[net]\nname-servers = [{:?}]\n[phase.work]\nwrite = [\"/job\"]\n{fetch}", NameServer::ADDRESS);
    let tries = "(read x </usr/bin/true) 2>/dev/null && echo there || echo gone";
    for tier in TIERS {
        let script = format!("{tries}; read y <file; echo $y; {tries}");
        let ended = brokered(runner, tier, ("shell", &more)).shell(&script).run();

        assert_eq!(text(&ended), "there\nfetched\ngone\n", "{tier}: {}", ended.stderr);
        assert_eq!(ended.report["files"]["work"]["by"], "input-opened", "{tier}");
    }
}
