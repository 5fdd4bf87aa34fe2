//! Whole configurations and what the DNS says of them, without a network. T1.4.
//!
//! The answers are lines as `komainu explain --answers` reads them; what isn't there doesn't exist.

use super::{Known, Matter, judge};
use crate::check::in_order;
use crate::check::surroundings::tests::World;
use crate::explain::answers::Written;
use config::Diagnostic;
use policy::{Answer, Question};

/// A server with which all is well.
const GOOD: &str = "\
mx.example.com A 192.0.2.25
192.0.2.25 PTR mx.example.com
example.com MX 10 mx.example.com
example.com TXT v=spf1 mx -all
_dmarc.example.com TXT v=DMARC1; p=reject; rua=mailto:postmaster@example.com
mail._domainkey.example.com TXT v=DKIM1; p=abcd
";

fn world() -> World {
    World::new().main("mydestination = $myhostname, localhost.$mydomain, example.com")
}

/// `GOOD` without the lines that begin with one of `without`, and with `with`.
fn zone(without: &[&str], with: &str) -> String {
    let kept = GOOD.lines().filter(|line| !without.iter().any(|begin| line.starts_with(begin)));
    let kept: Vec<&str> = kept.chain(with.lines()).collect();
    kept.join("\n")
}

fn ask(world: &World, zone: &str) -> Vec<Diagnostic> {
    let written = Written::parse(zone).expect("answers");
    let found = world.look(|scene, machine| {
        let matter = Matter::new(scene, machine);
        let mut known = Known::default();
        for _ in 0..20 {
            let found = judge(&matter, &known);
            let missing = known.take_missing();
            if missing.is_empty() {
                return found;
            }
            for question in missing {
                let answer = match &question {
                    Question::Dns { name, kind } => written.records(name, *kind),
                    _ => Answer::Failed("not about names".to_owned()),
                };
                known.learn(question, answer);
            }
        }
        panic!("the judges ask for ever: {:?}", known.take_missing());
    });
    in_order(found)
}

#[track_caller]
fn check(world: &World, zone: &str, expect: &[&str]) {
    let found = ask(world, zone);
    let mut said: Vec<String> = found
        .iter()
        .map(|one| format!("{} {}: {} @{}", one.code, one.severity, one.message, one.place.text()))
        .collect();
    said.sort();
    let fits =
        said.len() == expect.len() && said.iter().zip(expect).all(|(said, expect)| said.starts_with(expect));
    assert!(fits, "expected {expect:#?}\nfound {said:#?}");
    assert!(found.iter().all(|one| one.help.is_some()));
}

#[test]
fn all_is_well() {
    check(&world(), GOOD, &[]);
    // Relays and behind NAT.
    check(&world().main("relayhost = [relay.example]"), GOOD, &[]);
}

#[test]
fn the_servers_own_name() {
    check(
        &world(),
        &zone(
            &["mx.example.com", "example.com MX"],
            "example.com MX 10 other.example\nother.example A 192.0.2.25",
        ),
        &["K0600 warning: myhostname = mx.example.com has no address in the DNS @mx.example.com"],
    );
    check(
        &world(),
        &zone(&["192.0.2.25"], ""),
        &["K0602 warning: 192.0.2.25 has no name in the DNS (PTR) @mx.example.com"],
    );
    check(
        &world(),
        &zone(&["192.0.2.25"], "192.0.2.25 PTR host25.provider.example"),
        &["K0602 warning: 192.0.2.25 is called host25.provider.example, which doesn't lead back to it"],
    );
    let provider = "192.0.2.25 PTR host25.provider.example\nhost25.provider.example A 192.0.2.25";
    check(
        &world(),
        &zone(&["192.0.2.25"], provider),
        &["K0603 hint: 192.0.2.25 is called host25.provider.example in the DNS, not mx.example.com"],
    );
    // An address of IPv6 that nobody thought of.
    check(
        &world().address("2001:db8::25", 64),
        &zone(&["example.com TXT"], "example.com TXT v=spf1 mx ip6:2001:db8::/32 -all"),
        &["K0602 warning: 2001:db8::25 has no name in the DNS (PTR)"],
    );
    check(
        &world().address("2001:db8::25", 64).address("2001:db8::26", 64),
        &zone(&["example.com TXT"], "example.com TXT v=spf1 mx ip6:2001:db8::/32 -all"),
        &["K0602 warning: 2001:db8::25 has no name in the DNS (PTR)"],
    );
    check(&world().address("2001:db8::25", 64).main("inet_protocols = ipv4"), GOOD, &[]);
    check(
        &world(),
        &zone(
            &["mx.example.com", "example.com TXT"],
            "mx.example.com A 198.51.100.7\n198.51.100.7 PTR mx.example.com\nexample.com TXT v=spf1 ip4:192.0.2.25 -all",
        ),
        &[
            "K0601 hint: mx.example.com is 198.51.100.7 in the DNS, which this machine doesn't have",
            "K0602 warning: 192.0.2.25 is called mx.example.com, which doesn't lead back",
        ],
    );
    // Names that nobody outside can mean.
    check(
        &world().main("myhostname = vm"),
        "example.com MX 10 x.example\nx.example A 192.0.2.25",
        &["K0610", "K0616", "K0621"],
    );
}

#[test]
fn where_mail_goes() {
    let mx = |lines: &str| {
        zone(
            &["example.com MX", "example.com TXT"],
            &format!("example.com TXT v=spf1 ip4:192.0.2.25 -all\n{lines}"),
        )
    };
    check(
        &world().main("virtual_alias_domains = gone.example\nvirtual_alias_maps ="),
        GOOD,
        &["K0605 warning: the domain gone.example doesn't exist @gone.example"],
    );
    check(
        &world(),
        &mx("example.com MX 0 ."),
        &[
            "K0605 warning: example.com says in the DNS that it takes no mail (null MX, RFC 7505) @example.com",
        ],
    );
    check(&world(), &mx(""), &["K0605 warning: example.com has neither MX nor address in the DNS"]);
    check(&world(), &mx("example.com A 192.0.2.25"), &[]);
    check(
        &world(),
        &mx("example.com MX 10 gone.example"),
        &["K0605 warning: no MX of example.com has an address: gone.example"],
    );
    check(
        &world(),
        &mx("example.com MX 10 mx.example.com\nexample.com MX 5 gone.example"),
        &["K0605 warning: example.com: its MX gone.example has no address"],
    );
    let elsewhere = mx("example.com MX 10 filter.example\nfilter.example A 198.51.100.1");
    check(
        &world(),
        &elsewhere,
        &["K0606 hint: mail for example.com goes to filter.example, not here @example.com"],
    );
    check(&world().main("proxy_interfaces = 198.51.100.1"), &elsewhere, &["K0602", "K0613"]);
    // Domains of a table, each at the table's place; a relayed one's records are its owner's.
    let table = World::new()
        .main("virtual_mailbox_domains = hash:/etc/postfix/vdomains\nrelay_domains = other.example")
        .file("/etc/postfix/vdomains", "# mine\nexample.com x\ngone.example x\n");
    check(
        &table,
        &zone(&[], "other.example MX 10 mx.example.com"),
        &["K0605 warning: the domain gone.example doesn't exist @hash:/etc/postfix/vdomains"],
    );
}

#[test]
fn spf() {
    let with = |lines: &str| zone(&["example.com TXT"], lines);
    check(&world(), &with(""), &["K0610 hint: example.com has no SPF record @example.com"]);
    check(&world(), &with("example.com TXT some=thing\nexample.com TXT v=spf1 a:mx.example.com ~all"), &[]);
    check(
        &world(),
        &with("example.com TXT v=spf1 mx -all\nexample.com TXT v=spf1 -all"),
        &["K0611 warning: example.com has 2 SPF records"],
    );
    check(
        &world(),
        &with("example.com TXT v=spf1 ipv4:192.0.2.25 -all"),
        &[
            "K0611 warning: the SPF record of example.com can't be used: it has \"ipv4:192.0.2.25\", which SPF",
        ],
    );
    check(
        &world(),
        &with("example.com TXT v=spf1 mx include:none.example -all"),
        &[
            "K0611 warning: the SPF record of example.com can't be used: it includes none.example, which has 0",
        ],
    );
    check(
        &world(),
        &with("example.com TXT v=spf1 ip4:198.51.100.0/24 -all"),
        &["K0613 warning: the SPF record of example.com doesn't let this server send: 192.0.2.25"],
    );
    check(
        &world().main("relayhost = [relay.example]"),
        &with("example.com TXT v=spf1 ip4:198.51.100.0/24 -all"),
        &[],
    );
    for record in [
        "v=spf1 include:in.example -all",
        "v=spf1 redirect=in.example",
        "v=spf1 a:mx.example.com/24 -all",
        "v=spf1 exists:%{i}.in.example -all",
    ] {
        check(
            &world(),
            &with(&format!("example.com TXT {record}\nin.example TXT v=spf1 ip4:192.0.2.0/24 -all")),
            &[],
        );
    }
    check(
        &world(),
        &with("example.com TXT v=spf1 +all"),
        &["K0614 warning: the SPF record of example.com lets everybody send: +all"],
    );
    let chain = |length: usize| {
        let mut lines = "example.com TXT v=spf1 mx include:i1.example -all\n".to_owned();
        for at in 1..length {
            lines.push_str(&format!("i{at}.example TXT v=spf1 include:i{}.example -all\n", at + 1));
        }
        lines.push_str(&format!("i{length}.example TXT v=spf1 ip4:192.0.2.25 -all\n"));
        with(&lines)
    };
    check(&world(), &chain(9), &[]);
    check(
        &world(),
        &chain(10),
        &["K0612 warning: the SPF record of example.com takes 11 look-ups, more than ten"],
    );
    // A circle ends.
    check(
        &world(),
        &with("example.com TXT v=spf1 mx include:example.com include:example.com -all"),
        &["K0612 warning: the SPF record of example.com takes"],
    );
}

#[test]
fn dmarc() {
    let with = |lines: &str| zone(&["_dmarc"], lines);
    check(&world(), &with(""), &["K0616 hint: example.com has no DMARC record @example.com"]);
    check(
        &world(),
        &with("_dmarc.example.com TXT v=DMARC1; p=rejct"),
        &["K0617 warning: the DMARC record of example.com has p=rejct, which isn't one of its values"],
    );
    check(
        &world(),
        &with("_dmarc.example.com TXT v=DMARC1; p=none\n_dmarc.example.com TXT v=DMARC1; p=reject"),
        &["K0617 warning: the DMARC record of example.com stands there 2 times"],
    );
    // The record above counts for a domain below.
    let below = "lists.example.com MX 10 mx.example.com\nlists.example.com TXT v=spf1 mx -all\n\
                 dkim._domainkey.lists.example.com TXT p=x";
    let world = World::new().main("mydestination = lists.example.com");
    check(&world, &zone(&[], below), &[]);
}

#[test]
fn dkim() {
    let with = |lines: &str| zone(&["mail._domainkey"], lines);
    check(
        &world(),
        &with(""),
        &["K0621 hint: no DKIM key of example.com was found under the usual names @example.com"],
    );
    let signs = || {
        world()
            .file("/etc/opendkim.conf", "# x\nKeyTable refile:/etc/opendkim/keys\nMode sv\n")
            .file("/etc/opendkim/keys", "m example.com:2026a:/etc/opendkim/2026a.private\n")
    };
    check(
        &signs(),
        GOOD,
        &[
            "K0620 warning: OpenDKIM signs for example.com with the selector 2026a, and 2026a._domainkey.example.com",
        ],
    );
    check(&signs(), &zone(&[], "2026a._domainkey.example.com TXT v=DKIM1; k=rsa; p=abcd"), &[]);
    check(
        &signs(),
        &zone(&[], "2026a._domainkey.example.com TXT v=DKIM1; p="),
        &["K0620 warning: OpenDKIM signs for example.com with the selector 2026a, whose key is withdrawn"],
    );
    let plain = world().file("/etc/opendkim.conf", "Domain example.com\nSelector mail\n");
    check(&plain, GOOD, &[]);
}

#[test]
fn mta_sts() {
    let with = |lines: &str| zone(&[], lines);
    let id = "_mta-sts.example.com TXT v=STSv1; id=20260101";
    check(
        &world(),
        &with("_mta-sts.example.com TXT v=STSv1;"),
        &["K0622 hint: the MTA-STS record of example.com has no id"],
    );
    check(
        &world(),
        &with(id),
        &["K0622 hint: example.com has an MTA-STS record, but mta-sts.example.com has no address"],
    );
    let host = format!("{id}\nmta-sts.example.com A 192.0.2.26\n");
    check(
        &world(),
        &with(&host),
        &["K0622 hint: example.com has MTA-STS, but no record for reports (TLSRPT)"],
    );
    let reports = "_smtp._tls.example.com TXT v=TLSRPTv1; rua=mailto:postmaster@example.com";
    check(&world(), &with(&format!("{host}{reports}")), &[]);
}

/// T1.4: lists at their test points (RFC 5782), and what they say of this server.
#[test]
fn lists() {
    let asks = || world().main("smtpd_client_restrictions = reject_rbl_client bl.example=127.0.0.[2..9]");
    let works = "2.0.0.127.bl.example A 127.0.0.2\n";
    let with = |lines: &str| zone(&[], lines);
    check(&asks(), &with(works), &[]);
    check(
        &asks(),
        &with(&format!("{works}1.0.0.127.bl.example A 127.0.0.2")),
        &["K0625 warning: bl.example lists the whole world (127.0.0.1 among it) @bl.example=127.0.0.[2..9]"],
    );
    check(&asks(), &with(""), &["K0625 warning: bl.example doesn't exist any more"]);
    // A small list without a test point.
    check(&asks(), &with("bl.example SOA ns.example hostmaster.example"), &[]);
    check(
        &asks(),
        &with("2.0.0.127.bl.example SERVFAIL\n1.0.0.127.bl.example SERVFAIL\nbl.example SERVFAIL"),
        &["K0625 warning: bl.example gives no answer", "K0630 hint: no answer about"],
    );
    check(
        &asks(),
        &with("2.0.0.127.bl.example A 127.255.255.254\n1.0.0.127.bl.example A 127.255.255.254"),
        &["K0627 warning: bl.example doesn't answer this name server: it says 127.255.255.254"],
    );
    let listed = format!("{works}25.2.0.192.bl.example A 127.0.0.4");
    check(
        &asks(),
        &with(&listed),
        &["K0626 warning: 192.0.2.25, this server's own address, is listed by bl.example (127.0.0.4)"],
    );
    // To be on a list of good servers is no harm.
    let friendly = world().main("smtpd_client_restrictions = permit_dnswl_client bl.example");
    check(&friendly, &with(&listed), &[]);
    let sites = |word: &str| world().main(&format!("postscreen_dnsbl_sites = {word}"));
    check(&sites("bl.example*2"), &with(&listed), &["K0626"]);
    check(&sites("bl.example*-2"), &with(&listed), &[]);
    let names = world().main("smtpd_sender_restrictions = reject_rhsbl_sender dbl.example");
    check(&names, &with("test.dbl.example A 127.0.1.2"), &[]);
    check(&names, &with("test.dbl.example A 127.0.1.2\ninvalid.dbl.example A 127.0.1.2"), &["K0625"]);
}

#[test]
fn no_answers() {
    let silent = "mx.example.com SERVFAIL\nexample.com SERVFAIL\n192.0.2.25 SERVFAIL\n_dmarc.example.com SERVFAIL\n\
                  _mta-sts.example.com SERVFAIL\n_smtp._tls.example.com SERVFAIL\n";
    let keys: String = ["default", "mail", "dkim", "s1", "selector1", "2024"]
        .map(|selector| format!("{selector}._domainkey.example.com SERVFAIL\n"))
        .concat();
    check(&world(), &format!("{silent}{keys}"), &["K0630 warning: the DNS can't be asked"]);
    check(
        &world(),
        &zone(&["_dmarc"], "_dmarc.example.com SERVFAIL"),
        &["K0630 hint: no answer about _dmarc.example.com (TXT)"],
    );
}

/// What nobody can believe is no finding: a captive resolver has an address for every name, others know none.
#[test]
fn name_servers_that_lie() {
    let captive = format!("{GOOD}komainu-check.invalid A 198.51.100.1");
    check(
        &world(),
        &captive,
        &["K0630 warning: the DNS can't be asked: the name server has an address for every name"],
    );
    check(&world(), "", &["K0630 warning: the DNS can't be asked: the name server says of every name"]);
    // The names are really not there.
    let found = ask(&world(), ". NS a.root-servers.net");
    let codes: Vec<u16> = found.iter().map(|one| one.code.0).collect();
    assert!(codes.contains(&600) && codes.contains(&605) && !codes.contains(&630), "{found:#?}");
}
