//! Greylisting over simulated time. The expectations are what Postgrey 1.37 does; `komainu`'s tests ask it.

use super::*;
use config::SourceFile;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Default)]
struct Remembered {
    triplets: HashMap<String, Seen>,
    clients: HashMap<String, Known>,
}

impl Memory for Remembered {
    fn triplet(&mut self, key: &str) -> Option<Seen> {
        self.triplets.get(key).copied()
    }
    fn see(&mut self, key: &str, seen: Seen, _: (bool, u32)) {
        self.triplets.insert(key.to_owned(), seen);
    }
    fn client(&mut self, key: &str) -> Option<Known> {
        self.clients.get(key).copied()
    }
    fn know(&mut self, key: &str, known: Known, _: u32) {
        self.clients.insert(key.to_owned(), known);
    }
}

struct Days {
    greylist: Greylist,
    memory: Remembered,
    headers: LastHeader,
}

fn file(text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { path: "/etc/postgrey/list".into(), text: text.to_owned() })
}

fn options(text: &str) -> Options {
    let (options, found) = Defaults::read(&file(&format!("POSTGREY_OPTS=\"{text}\"\n"))).options();
    assert!(found.is_empty(), "{found:?}");
    options
}

impl Days {
    fn new(text: &str) -> Days {
        let greylist = Greylist { options: options(text), ..Greylist::default() };
        Days { greylist, memory: Remembered::default(), headers: LastHeader::default() }
    }

    /// `client sender recipient instance` at a second of the test: reason and action.
    fn ask(&mut self, at: i64, words: &str) -> String {
        let mut words = words.split(' ').map(|word| if word == "-" { "" } else { word });
        let mut next = || words.next().unwrap();
        let (client_address, sender, recipient, instance) = (next(), next(), next(), next());
        let client = client_address.parse().unwrap();
        let request = Request {
            client_name: "h.example",
            client_address,
            client,
            sender,
            recipient,
            instance,
            pool: None,
        };
        let moment =
            Moment { now: Wall::from_seconds(1_000_000 + at), date: &|| "DATE".to_owned(), host: "mx" };
        let judged = self.greylist.judge(&request, (&mut self.memory, &mut self.headers), &moment);
        let promoted = if judged.promoted { "; known for good" } else { "" };
        format!("{}: {}{promoted}", judged.reason, judged.action)
    }
}

const GREY: &str = "DEFER_IF_PERMIT Greylisted, see http://postgrey.schweikert.ch/help/example.com.html";

#[test]
fn a_first_contact_and_its_retries() {
    let mut days = Days::new("");
    let mut check = |at, expect: String| {
        assert_eq!(days.ask(at, "192.0.2.1 a@example.org b@example.com -"), expect, "{at}");
    };
    check(0, format!("new: {GREY}"));
    check(0, format!("new: {GREY}"));
    check(1, format!("early-retry (299s missing): {GREY}"));
    check(299, format!("early-retry (1s missing): {GREY}"));
    let header = "PREPEND X-Greylist: delayed 300 seconds by postgrey-1.37 at mx; DATE";
    check(300, format!("triplet found: {header}"));
    check(301, "triplet found: DUNNO".to_owned());
    // Known for 35 days more, and for no second longer.
    check(301 + 35 * 86_400, "triplet found: DUNNO".to_owned());
    check(302 + 70 * 86_400, format!("new: {GREY}"));
}

#[test]
fn the_retry_window() {
    let mut days = Days::new("--retry-window=2h --delay=60");
    assert!(days.ask(0, "192.0.2.1 a@x b@y -").starts_with("new"));
    assert!(days.ask(0, "192.0.2.1 c@x b@y -").starts_with("new"));
    assert!(days.ask(7_200, "192.0.2.1 a@x b@y -").starts_with("triplet found: PREPEND"));
    assert!(days.ask(7_201, "192.0.2.1 c@x b@y -").starts_with("new"));
    assert!(days.ask(7_261, "192.0.2.1 c@x b@y -").starts_with("triplet found: PREPEND"));
    // A clock that was set back.
    assert!(days.ask(10, "192.0.2.1 c@x b@y -").starts_with("new"));
}

/// Postgrey's run of the same requests has the client known at 18,002.
#[test]
fn a_client_that_came_back_often_is_known() {
    let mut days = Days::new("");
    let passes = [3_600, 7_199, 7_200, 10_800, 10_801, 14_401];
    for (n, at) in passes.into_iter().enumerate() {
        let words = format!("192.0.2.1 s{n}x@x b@y -");
        assert!(days.ask(at - 400, &words).starts_with("new"), "{at}");
        let said = days.ask(at, &words);
        assert!(said.starts_with("triplet found: PREPEND") && !said.ends_with("good"), "{at} {said}");
    }
    assert!(days.ask(17_602, "192.0.2.1 last@x b@y -").starts_with("new"));
    assert!(days.ask(18_002, "192.0.2.1 last@x b@y -").ends_with("known for good"));
    assert_eq!(days.ask(18_003, "192.0.2.1 other@x b@y -"), "client AWL: DUNNO");
    assert!(days.ask(18_003, "192.0.2.2 other@x b@y -").starts_with("new"), "its neighbour isn't known");
    let count = |days: &mut Days| days.memory.client("192.0.2.1").unwrap();
    assert_eq!(count(&mut days), Known { count: 5, last: 1_018_002 });
    assert_eq!(days.ask(21_602, "192.0.2.1 other@x b@y -"), "client AWL: DUNNO");
    assert_eq!(count(&mut days), Known { count: 6, last: 1_021_602 });
    let later = 21_602 + 35 * 86_400;
    assert_eq!(days.ask(later, "192.0.2.1 another@x b@y -"), "client AWL: DUNNO");
    assert!(days.ask(later + 35 * 86_400 + 1, "192.0.2.1 another@x b@y -").starts_with("new"));
    let mut never = Days::new("--auto-whitelist-clients=0");
    never.ask(0, "192.0.2.1 a@x b@y -");
    never.ask(300, "192.0.2.1 a@x b@y -");
    assert!(never.memory.clients.is_empty());
}

#[test]
fn one_header_for_a_message() {
    let mut days = Days::new("");
    for user in ["a", "b", "c", "d", "e"] {
        days.ask(0, &format!("192.0.2.1 s@x {user}@y -"));
    }
    let mut check = |words: &str, header: bool| {
        let said = days.ask(400, &format!("192.0.2.1 s@x {words}"));
        assert_eq!(said.contains("PREPEND"), header, "{words}: {said}");
    };
    check("a@y i1", true);
    check("b@y i2", true);
    check("c@y i1", false);
    check("d@y -", true);
    check("e@y -", true);
}

#[test]
fn texts() {
    let mut days = Days::new("--delay=60 --greylist-action=451 --hostname=foo.bar");
    days.greylist.options.text = "wait %s s for %r %% %x %s".to_owned();
    days.greylist.options.header = "X-Foo: %t %v %h %d %x %t".to_owned();
    assert_eq!(days.ask(0, "192.0.2.1 - b@y -"), "new: 451 wait 60 s for y %% %x %s");
    assert!(days.ask(20, "192.0.2.1 - b@y -").ends_with("451 wait 40 s for y %% %x %s"));
    assert_eq!(days.ask(61, "192.0.2.1 - b@y -"), "triplet found: PREPEND X-Foo: 61 1.37 foo.bar DATE %x %t");
    assert_eq!(days.ask(61, "192.0.2.1 - root -"), "new: 451 wait 60 s for root %% %x %s");
}

#[test]
fn senders() {
    let check = |sender: &str, expect: &str| assert_eq!(triplet::sender(sender), expect, "{sender}");
    check(
        "bounce-2292_HTML-155312860-340997-10960531-0@bounce.email.vans.com",
        "bounce-2292_html-#-#-#-#@bounce.email.vans.com",
    );
    check("user+ext@Example.ORG", "user@example.org");
    check("joe+12-3=x@x.org", "joe@x.org");
    check("list-return-123-joe=example.com@x", "list-return-#-joe=example.com@x");
    check("a12b@x", "a12b@x");
    check("a.12.b@x12.3", "a.#.b@x12.3");
    check("a_12@x", "a_12@x");
    check("0000@x", "#@x");
    check("é12-é@x", "é#-é@x");
    check("", "");
    check("nodomain12", "nodomain12");
    check("1@2@3", "#@2@3");
    check("prvs=1234abcd12=user@x", "user@x");
    check("prvs=user=1234abcd12@x", "user@x");
    check("prvs=user=012345678@x", "#@x");
    check("prvs=user=ABCDEFABCDEF@x", "abcdefabcdef@x");
    check("prvs=a0123456789=b0123456780@x", "b0123456780@x");
    check("prvs=us=er=0123abcdef@x", "prvs=us=er=0123abcdef@x");
    check("prvs==abcdefabcdef@x", "@x");
    check("prvs=abcdefabcdef=@x", "prvs=abcdefabcdef=@x");
    check("PRVS=1234abcd12=user@x", "prvs=1234abcd12=user@x");
}

#[test]
fn keys() {
    let check = |text: &str, client: &str, expect: &str| {
        let address = client.parse::<std::net::IpAddr>().unwrap().to_canonical();
        #[rustfmt::skip]
        let request = Request { client_name: "h", client_address: client, client: address, sender: "S+x@X", recipient: "R+x@Y", instance: "", pool: None };
        assert_eq!(triplet::keys(&request, &options(text)), [format!("{expect}/s@x/r+x@y")]);
    };
    check("", "192.0.2.77", "192.0.2.0");
    check("--lookup-by-host", "192.0.2.77", "192.0.2.77/32");
    check("--ipv4cidr=16", "192.0.2.77", "192.0.0.0");
    check("--ipv4cidr=0", "192.0.2.77", "0.0.0.0");
    check("", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:0:0:0:0");
    check("--ipv6cidr=48", "2001:db8:1:2::3", "2001:db8:1:0:0:0:0:0");
    check("--lookup-by-host", "2001:DB8::5", "2001:db8:0:0:0:0:0:5/128");
    // Postgrey has all of these in one net.
    check("", "::ffff:192.0.2.77", "192.0.2.0");
    assert_eq!(triplet::client_key("2001:db8::5".parse().unwrap()), "2001:DB8:0:0:0:0:0:5");
}

#[test]
fn requests() {
    let check = |text: &str, expect: &str| {
        let value = |name: &str| text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        assert_eq!(Request::read(value).unwrap_err().to_string(), expect, "{text}");
    };
    check("request=foo", "unrecognized request type: 'foo'");
    check("client_address=192.0.2.1", "unrecognized request type: ''");
    let kind = "request=smtpd_access_policy";
    check(kind, "attribute missing: client_address");
    check(&format!("{kind} client_address=192.0.2.1"), "attribute missing: client_name");
    check(&format!("{kind} client_address=192.0.2.1 client_name=x"), "attribute missing: recipient");
    check(&format!("{kind} client_address=192.0.2.1 client_name=x recipient="), "attribute missing: sender");
    let rest = "client_name=x recipient= sender=";
    check(&format!("{kind} client_address= {rest}"), "client_address is no address: ");
}

#[test]
fn client_whitelists() {
    let list = "# comment\nexample.org\n.dotted.net\nSub.UPPER.com   # trailing comment\n10.1.2.3\n10.2.3\n10.3\n\
                12.0.0.0/8\n/^mail\\d+\\.re\\.org$/\n/RE2/\n/^14\\./\n leading.org\ntwo.org words.org\n\
                2001:db8:9::/48\n2001:DB8::1\n300.1.2.3\n17.1.2.3/33\n*.star.org\n/x y/\nunknown-host\n/(/\n";
    let mut clients = Clients::default();
    let found = clients.read(&file(list));
    let lines: Vec<usize> = found.iter().map(|one| one.place.line()).collect();
    assert_eq!(lines, [3, 7, 13, 16, 17, 18, 19, 21], "{found:#?}");
    assert_eq!(found[1].place.column(), 1);
    assert_eq!(found[0].fix.as_ref().map(|fix| fix.replacement.as_str()), Some("dotted.net"));
    let check = |name: &str, address: &str, expect: bool| {
        assert_eq!(clients.has(name, address.parse().unwrap()), expect, "{name} {address}");
    };
    for name in
        ["example.org", "a.EXAMPLE.org", "x.sub.upper.com", "MAIL12.re.org", "axre2b.org", "leading.org"]
    {
        check(name, "192.0.2.1", true);
    }
    for name in ["aexample.org", "dotted.net", "a.dotted.net", "two.org", "words.org", "a.star.org", "x y"] {
        check(name, "192.0.2.1", false);
    }
    for address in ["10.1.2.3", "10.2.3.9", "12.255.0.1", "2001:db8:9:5::1", "2001:db8::1"] {
        check("unknown", address, true);
    }
    for address in ["10.1.2.30", "10.2.30.9", "10.3.1.1", "14.1.1.1", "17.1.2.3", "2001:db8:a::1"] {
        check("unknown", address, false);
    }
    let mut everybody = Clients::default();
    assert!(everybody.read(&file("::/0")).is_empty());
    assert!(everybody.has("unknown", "192.0.2.1".parse().unwrap()));
}

#[test]
fn recipient_whitelists() {
    let check = |entry: &str, expect: &[&str]| {
        let mut recipients = Recipients::default();
        let found = recipients.read(&file(&format!("{entry}\n")));
        let all = [
            "a@dom.org",
            "a@x.dom.org",
            "a@xdom.org",
            "name@x.y",
            "NAME@x",
            "name+ext@x.y",
            "names@x.y",
            "name",
            "full@addr.org",
            "full+x@addr.org",
            "full@x.addr.org",
            "full@ADDR.org",
            "@dom.org",
            "",
            "plain",
            "a@plain",
            "a.plain",
        ];
        let listed: Vec<&str> = all.into_iter().filter(|one| recipients.has(one)).collect();
        assert_eq!(listed, expect, "{entry}");
        assert_eq!(found.len(), usize::from(entry.contains(' ') && !entry.contains('#')), "{found:?}");
    };
    check("dom.org", &["a@dom.org", "a@x.dom.org", "@dom.org"]);
    check("DOM.ORG # x", &["a@dom.org", "a@x.dom.org", "@dom.org"]);
    check(".dom.org", &[]);
    check("name@", &["name@x.y", "NAME@x", "name+ext@x.y"]);
    check("full@addr.org", &["full@addr.org", "full+x@addr.org", "full@ADDR.org"]);
    check("full+x@addr.org", &["full+x@addr.org"]);
    check("@dom.org", &["@dom.org"]);
    check("plain", &["a@plain", "a.plain"]);
    check("/^full/", &["full@addr.org", "full+x@addr.org", "full@x.addr.org", "full@ADDR.org"]);
    check("name@ x", &[]);
    check("name", &[]);
}

#[test]
fn whitelists_come_first() {
    let mut days = Days::new("");
    days.greylist.clients.read(&file("h.example\n"));
    days.greylist.recipients.read(&file("postmaster@\n"));
    assert_eq!(days.ask(0, "192.0.2.1 a@x postmaster@y -"), "client whitelist: DUNNO");
    days.greylist.clients = Clients::default();
    assert_eq!(days.ask(0, "192.0.2.1 a@x Postmaster@y -"), "recipient whitelist: DUNNO");
    assert!(days.memory.triplets.is_empty(), "nothing is remembered of them");
}

#[test]
fn options_as_debian_has_them() {
    let text =
        "# postgrey startup options\n\nPOSTGREY_OPTS=\"--inet=10023 --delay=60\"\n#POSTGREY_TEXT=\"no\"\n";
    let (read, found) = Defaults::read(&file(text)).options();
    assert!(found.is_empty());
    assert_eq!((read.inet, read.delay_s), (Some(("localhost".to_owned(), 10_023)), 60));
    let text = "POSTGREY_OPTS='--unix /run/postgrey/socket -q'\nPOSTGREY_OPTS=\"$POSTGREY_OPTS --max-age 10 --privacy\"\n\
                POSTGREY_TEXT=\"come back in %s s\"\n";
    let (read, found) = Defaults::read(&file(text)).options();
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(read.unix.as_deref(), Some(std::path::Path::new("/run/postgrey/socket")));
    assert_eq!((read.quiet, read.privacy, read.max_age_s), (true, true, 864_000));
    assert_eq!(read.text, "come back in %s s");
    let text = "POSTGREY_OPTS=\"--inet=x --dlay=5 --retry-window=2x --ipv4cidr=40 --delay=0 --auto-whitelist-clients --delay\"\n";
    let (read, found) = Defaults::read(&file(text)).options();
    let said: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "--inet: x names no port",
            "--dlay is no option of Postgrey's",
            "--retry-window: 2x is no number",
            "--ipv4cidr: 40 isn't within 0 to 32",
            "--delay: a value is missing",
        ]
    );
    assert_eq!(found[1].place.text(), "--dlay=5");
    assert_eq!((read.delay_s, read.auto_whitelist), (300, 5));
}

/// What a pool changes: the first server that comes back will do, and the domain becomes known, not its zone.
#[test]
fn pools_of_senders() {
    let mut days = Days::new("--auto-whitelist-clients=2");
    days.greylist.options.keys = Keys::Sender;
    let mut ask = |at: i64, client: &str, pool: Option<&str>, sender: &str| {
        let address = client.parse().unwrap();
        let request = Request {
            client_name: "unknown",
            client_address: client,
            client: address,
            sender,
            recipient: "b@y",
            instance: "",
            pool,
        };
        let moment = Moment { now: Wall::from_seconds(1_000_000 + at), date: &String::new, host: "mx" };
        days.greylist.judge(&request, (&mut days.memory, &mut days.headers), &moment).reason.to_string()
    };
    let (spf, zone) = (Some("spf:big.example"), Some("zone:big.example"));
    assert_eq!(ask(0, "192.0.2.1", spf, "a@big.example"), "new");
    assert_eq!(ask(400, "198.51.100.1", spf, "a@big.example"), "triplet found");
    // Others don't share it, whatever they say.
    assert_eq!(ask(401, "203.0.113.1", None, "a@big.example"), "new");
    assert_eq!(
        ask(402, "203.0.113.2", zone, "a@big.example"),
        "early-retry (299s missing)",
        "its network has come before"
    );
    // An answer of the DNS that comes late costs no more than Postgrey's key.
    assert_eq!(ask(1_000, "198.18.0.1", None, "x@big.example"), "new");
    assert_eq!(ask(1_400, "198.18.0.9", spf, "x@big.example"), "triplet found");
    assert_eq!(ask(1_500, "192.0.2.77", spf, "x@big.example"), "triplet found");
    // Two hours, two mails: the domain is known, wherever it comes from.
    assert_eq!(ask(5_000, "192.0.2.1", spf, "c@big.example"), "new");
    assert_eq!(ask(5_400, "198.51.100.1", spf, "c@big.example"), "triplet found");
    assert_eq!(ask(5_500, "203.0.113.200", spf, "new@big.example"), "client AWL");
    assert_eq!(ask(5_500, "198.51.100.1", None, "new@big.example"), "new");
    // A zone is never known, its hosts are.
    for at in [10_000, 20_000, 30_000] {
        assert_eq!(ask(at, "203.0.113.50", zone, &format!("{at}x@z.example")), "new");
        assert_eq!(
            ask(at + 400, "192.0.2.50", zone, &format!("{at}x@z.example")),
            if at < 30_000 { "triplet found" } else { "client AWL" }
        );
    }
    assert_eq!(ask(40_000, "203.0.113.51", zone, "last@z.example"), "new");
}

proptest::proptest! {
    #[test]
    fn any_lists(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        fuzz(&bytes);
    }

    #[test]
    fn likely_lists(text in "((POSTGREY_OPTS=\"|--[a-z-]{3,20}[= ]|/\\^?[a-z.*+(|)]{0,9}\\$?/|[0-9a-f:./]{1,20}|[a-z*.@-]{1,12}|#| )[\n ]?){0,12}") {
        fuzz(text.as_bytes());
    }
}
