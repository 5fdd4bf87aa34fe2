//! header_checks and body_checks on mail from this machine's programs, and what is held by them. T1.14, T2.13.

use crate::queue::{ids, queue};
use crate::sendmail::send;
use crate::sendmail_oracle::alice;
use crate::server::Server;
use crate::site::Site;
use crate::world::{self, Needs};

const ALICE: u32 = 4242;

#[test]
fn what_programs_hand_in_is_checked_and_held_mail_is_released() {
    world::run("checks::what_programs_hand_in_is_checked_and_held_mail_is_released", Needs::Root, || {
        alice();
        let site = Site::new("");
        site.main(&format!(
            "{}header_checks = regexp:{{{{/^X-Hold: (.*)/ HOLD $$1}} {{/^X-Gone:/ IGNORE}}}}\n\
             body_checks = regexp:{{{{/^swear/ REPLACE (beep)}} {{/^never/ DISCARD}}}}\n",
            site.virtual_lines()
        ));
        let mut server = Server::start(&site);
        let hand_in = |text: &str| {
            let ran = send(&site, ALICE, &["box@virtual.example"], text.as_bytes());
            assert_eq!(ran.code, Some(0), "{ran:?}");
        };
        hand_in("Subject: one\nX-Gone: x\n\nswear\nend of one\n");
        let one = site.delivered_with("end of one");
        assert!(one.contains("\n\n(beep)\nend of one\n") && !one.contains("X-Gone"), "{one}");
        hand_in("Subject: two\n\nnever\nend of two\n");
        site.logged(": discard: body never from local; from=<alice@", 0);
        hand_in("Subject: three\nX-Hold: somebody looks\n\nend of three\n");
        site.logged(": hold: header X-Hold: somebody looks from local; from=<alice@", 0);
        let held = ids(&site, &["--state", "hold"]);
        let [id] = held.as_slice() else { unreachable!("one is held: {held:?}") };
        let shown = queue(&site, &["show", id, "--full"]);
        assert!(shown.out.contains("Subject: three") && shown.out.contains("end of three"), "{shown:?}");
        assert_eq!(queue(&site, &["release", id]).code, Some(0));
        site.delivered_with("end of three");
        assert!(ids(&site, &["--state", "hold"]).is_empty());
        assert_eq!(site.delivered().len(), 2, "what is thrown away stays away");
        assert!(server.stop().success());
    });
}
