//! Each line counts once, whatever names its file has had, and whether anybody was there to see it renamed.

use super::*;
use std::time::SystemTime;

const GLOB: &str = "[app]\nenabled = true\nfilter =\nfailregex = failed from <HOST>$\nlogpath = DIR/app*.log*\n DIR/app.log\n";

impl Site {
    /// How many failures of 192.0.2.1, .2 … count.
    fn counts<const N: usize>(&self) -> [u32; N] {
        std::array::from_fn(|at| {
            let Answer::Reasons(reasons) = self.ask(Order::Why(format!("192.0.2.{}", at + 1))) else {
                panic!("no reasons")
            };
            reasons.iter().map(|reason| reason.failures).sum()
        })
    }

    fn until_counted<const N: usize>(&self, counts: [u32; N]) {
        let is_there =
            |site: &Site| site.counts::<N>().iter().zip(counts).all(|(count, least)| *count >= least);
        self.until(&format!("{counts:?}"), is_there);
        assert_eq!(self.counts(), counts, "{}", self.said());
    }

    fn until_read(&self, log: &str) {
        let is_there = |site: &Site| site.status("app").files.iter().any(|file| file.ends_with(log));
        self.until(log, is_there);
    }

    /// Renames a log, which was written to last so many seconds ago; its writer begins another.
    fn rotate(&self, log: &str, name: &str, ago_s: u64) {
        let file = fs::File::options().append(true).open(self.path(log)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(ago_s)).unwrap();
        fs::rename(self.path(log), self.path(name)).unwrap();
        self.write(log, "");
    }

    /// As SIGTERM does, or as after a kill: what was kept is as it was at some moment before the end.
    fn ended(&mut self, is_killed: bool) {
        let state = self.path("state/bans");
        let kept = fs::read(&state).unwrap();
        self.stop();
        if is_killed {
            fs::write(state, kept).unwrap();
        }
    }
}

#[test]
fn a_pattern_that_names_the_renamed_file_too() {
    for name in ["app.log.1", "app-20261123.log"] {
        let mut site = Site::new(GLOB);
        site.write("app.log", "");
        site.start();
        site.fail("app.log", "192.0.2.1", 0);
        site.fail("app.log", "192.0.2.1", 0);
        site.until_counted([2]);
        site.rotate("app.log", name, 0);
        // Its writer doesn't know yet.
        site.fail(name, "192.0.2.2", 0);
        site.fail("app.log", "192.0.2.3", 0);
        site.until_counted([2, 1, 1]);
        site.until_read(name);
        // It is read on under its new name.
        site.fail(name, "192.0.2.2", 0);
        site.until_counted([2, 2, 1]);
        // All names move up.
        fs::rename(site.path(name), site.path("app.log.2")).unwrap();
        site.rotate("app.log", "app.log.1", 0);
        site.fail("app.log", "192.0.2.4", 0);
        site.until_read("app.log.1");
        site.until_read("app.log.2");
        site.fail("app.log.1", "192.0.2.5", 0);
        site.fail("app.log.2", "192.0.2.6", 0);
        site.until_counted([2, 2, 1, 1, 1, 1]);
    }
}

#[test]
fn renamed_while_nobody_looks() {
    for (is_killed, name) in [(false, "app.log.1"), (true, "app.log.1"), (true, "app-20261123.log")] {
        let mut site = Site::new(GLOB);
        site.write("app.log", "");
        site.start();
        site.fail("app.log", "192.0.2.1", 0);
        site.fail("app.log", "192.0.2.1", 0);
        site.until_counted([2]);
        site.until("kept", |site| {
            fs::read_to_string(site.path("state/bans")).is_ok_and(|text| text.contains("\"log\""))
        });
        site.ended(is_killed);
        site.fail("app.log", "192.0.2.2", 0);
        site.rotate("app.log", name, 1);
        site.fail("app.log", "192.0.2.3", 0);
        site.start();
        site.until_counted([2, 1, 1]);
        // Before it is read under its new name, and after.
        site.ended(is_killed);
        site.start();
        site.until_counted([2, 1, 1]);
        site.until_read(name);
        site.fail("app.log", "192.0.2.4", 0);
        site.fail(name, "192.0.2.4", 0);
        site.until_counted([2, 1, 1, 2]);
        site.ended(false);
        site.start();
        site.until_read(name);
        site.fail("app.log", "192.0.2.5", 0);
        site.until_counted([2, 1, 1, 2, 1]);
    }
}

/// Numbers may run up: what was read before is known, and so is what is newer.
#[test]
fn the_highest_number_may_be_the_newest() {
    for is_killed in [false, true] {
        let mut site = Site::new(&GLOB.replace("DIR/app*.log*\n ", ""));
        site.write("app.log", "");
        site.start();
        site.fail("app.log", "192.0.2.1", 0);
        site.until_counted([1]);
        site.rotate("app.log", "app.log.1", 30);
        site.fail("app.log", "192.0.2.2", 0);
        site.until_counted([1, 1]);
        site.ended(is_killed);
        site.fail("app.log", "192.0.2.3", 0);
        site.rotate("app.log", "app.log.2", 20);
        site.fail("app.log", "192.0.2.4", 0);
        site.rotate("app.log", "app.log.3", 10);
        site.fail("app.log", "192.0.2.5", 0);
        site.start();
        site.until_counted([1, 1, 1, 1, 1]);
        // Down once more, before and after a rotation that it saw.
        site.rotate("app.log", "app.log.4", 5);
        // A file that begins as another does, in one second.
        site.fail("app.log", "192.0.2.5", 0);
        site.until_counted([1, 1, 1, 1, 2]);
        site.ended(is_killed);
        site.rotate("app.log", "app.log.5", 2);
        site.fail("app.log", "192.0.2.6", 0);
        site.start();
        site.until_counted([1, 1, 1, 1, 2, 1]);
    }
}
