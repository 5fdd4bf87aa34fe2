//! Debian's policyd-spf and ours, asked the same: settings by settings, case by case, each answer byte for byte. T2.11.
//!
//! policyd-spf runs as it does behind a `spawn` line, in a world of its own with the test's name server; ours asks the
//! same name server by the real resolver. What differs on purpose is in docs/internals/differences.md, and not among the
//! cases.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a test may fail by panicking")]

use komainu::facts::Names;
use komainu::facts::dns::Resolver;
use mail::Wall;
use policy::Need;
use policy::spf::policyd::{self, Conf, Request};
use sim::dns::{Server, Zone};
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const PROGRAM: &str = "/usr/bin/policyd-spf";

const ZONE: &str = "
pass.example TXT v=spf1 ip4:192.0.2.1 -all
ip6.example TXT v=spf1 ip6:2001:db8::/32 -all
fail.example TXT v=spf1 -all
why.example TXT v=spf1 exp=text.why.example -all
text.why.example TXT %{i} is not one of %{d}'s designated mail servers for %{s} at %{r} (%{c}).
mxfail.example TXT v=spf1 mx -all
mxfail.example MX 10 a.mxfail.example
a.mxfail.example A 203.0.113.1
include.example TXT v=spf1 include:pass.example -all
redirect.example TXT v=spf1 redirect=pass.example
exists.example TXT v=spf1 exists:%{ir}.%{l1r-}.lists.%{d} -all
1.2.0.192.bob.lists.exists.example A 127.0.0.2
ptr.example TXT v=spf1 ptr:none.example -all
soft.example TXT v=spf1 ~all
neutral.example TXT v=spf1 ?all
empty.example TXT v=spf1
perm.example TXT v=spf1 foo:bar -all
two.example TXT v=spf1 -all
two.example TXT v=spf1 +all
inc-none.example TXT v=spf1 include:none.example -all
void.example TXT v=spf1 a:v1.void.example a:v2.void.example a:v3.void.example -all
loop.example TXT v=spf1 include:loop.example -all
none.example A 192.0.2.7
mail.pass.example TXT v=spf1 a -all
mail.pass.example A 192.0.2.1
mail.fail.example TXT v=spf1 -all
mail.soft.example TXT v=spf1 ~all
mail.neutral.example TXT v=spf1 ?all
mail.perm.example TXT v=spf1 zzz -all
mail.none.example A 192.0.2.1
192.0.2.1 PTR mail.none.example
temp.example TIMEOUT
";

/// Client, HELO, sender, recipient, instance; `-` for nothing.
const CASES: &str = "
192.0.2.1 mail.none.example bob@pass.example u@example.com
192.0.2.1 mail.none.example a@fail.example u@example.com
192.0.2.1 mail.none.example a@why.example u@example.com
192.0.2.1 mail.none.example a@mxfail.example u@example.com
192.0.2.1 mail.none.example a@include.example u@example.com
192.0.2.1 mail.none.example a@redirect.example u@example.com
192.0.2.1 mail.none.example bob-x@exists.example u@example.com
192.0.2.1 mail.none.example alice@exists.example u@example.com
192.0.2.1 mail.none.example a@ptr.example u@example.com
192.0.2.9 mail.none.example a@ptr.example u@example.com
192.0.2.1 mail.none.example a@soft.example u@example.com
192.0.2.1 mail.none.example a@neutral.example u@example.com
192.0.2.1 mail.none.example a@empty.example u@example.com
192.0.2.1 mail.none.example a@perm.example u@example.com
192.0.2.1 mail.none.example a@none.example u@example.com
192.0.2.1 mail.none.example a@nosuch.example u@example.com
192.0.2.1 mail.pass.example a@fail.example u@example.com
192.0.2.1 mail.pass.example a@soft.example u@example.com
192.0.2.1 mail.pass.example a@perm.example u@example.com
192.0.2.1 mail.pass.example a@none.example u@example.com
192.0.2.1 mail.pass.example - u@example.com
192.0.2.1 mail.fail.example - u@example.com
192.0.2.1 mail.fail.example a@pass.example u@example.com
192.0.2.1 mail.fail.example a@none.example u@example.com
192.0.2.1 mail.soft.example a@pass.example u@example.com
192.0.2.1 mail.soft.example - u@example.com
192.0.2.1 mail.neutral.example - u@example.com
192.0.2.1 mail.perm.example a@pass.example u@example.com
192.0.2.1 mail.perm.example a@none.example u@example.com
192.0.2.1 mail.perm.example - u@example.com
192.0.2.1 mail.none.example - u@example.com
192.0.2.1 unqualified - u@example.com
192.0.2.1 [192.0.2.1] a@pass.example u@example.com
192.0.2.1 [192.0.2.1] - u@example.com
192.0.2.1 - a@pass.example u@example.com
192.0.2.1 - - u@example.com
- mail.pass.example a@pass.example u@example.com
192.0.2.1 mail.pass.example nodomain u@example.com
127.0.0.1 mail.fail.example a@fail.example u@example.com
127.0.0.1 mail.fail.example - u@example.com
::1 mail.fail.example a@fail.example u@example.com
::ffff:127.0.0.1 mail.fail.example a@fail.example u@example.com
2001:db8::1 mail.none.example a@ip6.example u@example.com
2001:db9::1 mail.none.example a@ip6.example u@example.com
192.0.2.1 mail.none.example \"a.b\"@pass.example u@example.com
192.0.2.1 mail.none.example a+b;c@fail.example u@example.com
192.0.2.1 mail.none.example a@pass.example U@EXAMPLE.com
192.0.2.1 mail.none.example a@pass.example v@example.com same
192.0.2.1 mail.none.example a@pass.example w@example.com same
192.0.2.1 mail.none.example a@fail.example v@example.com refused
192.0.2.1 mail.none.example a@fail.example w@example.com refused
127.0.0.1 mail.none.example a@fail.example v@example.com local
127.0.0.1 mail.none.example a@fail.example w@example.com local
";

/// Faults of records, for settings under which no words of theirs are seen.
const FAULTS: &str = "
192.0.2.1 mail.none.example a@two.example u@example.com
192.0.2.1 mail.none.example a@inc-none.example u@example.com
192.0.2.1 mail.none.example a@void.example u@example.com
192.0.2.1 mail.none.example a@loop.example u@example.com
";

const SILENCE: &str = "
192.0.2.1 mail.none.example a@temp.example u@example.com
";

/// Settings, `|` between them.
const SETTINGS: &[&str] = &[
    "",
    "Mail_From_reject = False|HELO_reject = False|Per_User = text,/mnt/policyd-spf.users",
    "TestOnly = 0",
    "Hide_Receiver = Yes",
    "Hide_Receiver = No",
    "HELO_reject = SPF_Not_Pass",
    "HELO_reject = Softfail",
    "HELO_reject = Null",
    "HELO_reject = False",
    "HELO_reject = No_Check",
    "Mail_From_reject = SPF_Not_Pass",
    "Mail_From_reject = Softfail",
    "Mail_From_reject = False",
    "Mail_From_reject = No_Check",
    "HELO_reject = False|Mail_From_reject = False",
    "PermError_reject = True",
    "PermError_reject = True|TestOnly = 0",
    "SPF_Enhanced_Status_Codes = No|PermError_reject = True",
    "Header_Type = AR|Authserv_Id = mx.example.net",
    "Header_Type = AR|Authserv_Id = mx.example.net|Whitelist = 192.0.2.0/24",
    "Header_Type = None",
    "No_Mail = True",
    "Reject_Not_Pass_Domains = other.example,soft.example",
    "skip_addresses = 192.0.2.0/28",
    "Whitelist = 203.0.113.0/24,192.0.2.1",
    "Domain_Whitelist = pass.example",
    "Domain_Whitelist_PTR = none.example",
    "HELO_Whitelist = mail.none.example",
    "Prospective = 192.0.2.1",
    "HELO_pass_restriction = passed_helo",
    "Mail_From_pass_restriction = passed_from",
    "Reason_Message = Weg {rejectdefer}: {spf} - {url}",
    "Mock = True",
    "Void_Limit = 1",
];

/// Settings for single recipients.
const USERS: &str = "# a remark
u@example.com,HELO_reject=SPF_Not_Pass|Mail_From_reject=SPF_Not_Pass|PermError_reject=True|TempError_Defer=True
u@example.com,Mail_From_reject=No_Check
nobody@example.com,Mail_From_reject=No_Check
";

fn requests(cases: &str) -> Vec<String> {
    let request = |(at, line): (usize, &str)| {
        let mut words = line.split(' ').map(|word| if word == "-" { "" } else { word });
        let mut next = || words.next().unwrap_or("");
        let (client, helo, sender, recipient) = (next(), next(), next(), next());
        let instance =
            Some(next()).filter(|name| !name.is_empty()).map_or_else(|| format!("i{at}"), str::to_owned);
        format!(
            "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address={client}\n\
             client_name=unknown\nhelo_name={helo}\nsender={sender}\nrecipient={recipient}\nqueue_id=\n\
             instance={instance}\n\n"
        )
    };
    cases.lines().filter(|line| !line.is_empty()).enumerate().map(request).collect()
}

/// What policyd-spf answers; nothing to a request at which it ends with an error of Python's.
fn theirs(conf: &Path, requests: &[String]) -> Vec<Option<String>> {
    let mut said = Vec::new();
    while let Some(left) = requests.get(said.len()..).filter(|left| !left.is_empty()) {
        let answers = run(conf, left);
        let ended = answers.len() < left.len();
        said.extend(answers.into_iter().map(Some));
        if ended {
            said.push(None);
        }
    }
    said
}

/// The answers of one run.
fn run(conf: &Path, requests: &[String]) -> Vec<String> {
    let mut child = Command::new(PROGRAM)
        .arg(conf)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let mut input = child.stdin.take().expect("a pipe");
    let all = requests.concat();
    // It may have ended before it has read everything.
    let writing = std::thread::spawn(move || input.write_all(all.as_bytes()).is_ok());
    let output = child.wait_with_output().expect("ends");
    writing.join().expect("no panic");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.strip_prefix("action=")).map(str::to_owned).collect()
}

/// What we answer; a message that has a header gets no second one.
async fn ours(conf: &Conf, requests: &[String], resolver: &Resolver) -> Vec<String> {
    let (mut said, mut told) = (Vec::new(), HashSet::new());
    for text in requests {
        let request = Request::read(text);
        if told.contains(request.instance) {
            said.push("dunno".to_owned());
            continue;
        }
        let mut facts = policy::spf::without_tables();
        let answer = loop {
            match policyd::answer(conf, &request, "mx.example.com", &facts, Wall::from_seconds(1_700_000_000))
            {
                Ok(answer) => break answer,
                Err(Need(question)) => {
                    let answer = resolver.ask(&question).await;
                    facts.learn(question, answer);
                }
            }
        };
        if answer.is_header() {
            told.insert(request.instance);
        }
        said.push(answer.action);
    }
    said
}

fn compared() {
    let server = Server::start("127.0.0.1:53".parse().expect("an address")).expect("a name server");
    server.load(Zone::parse(ZONE.lines()).expect("records"));
    let resolver = Resolver::new(&["127.0.0.1".to_owned()], None, 100).expect("a resolver");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let path = Path::new("/mnt/policyd-spf.conf");
    let (mut count, mut different, mut silent) = (0, Vec::new(), Vec::new());
    let mut play = |settings: &str, cases: &str| {
        let text = settings.replace('|', "\n") + "\n";
        std::fs::write(path, &text).expect("written");
        let (mut conf, mut found) = Conf::read(&Arc::new(config::SourceFile { path: path.to_owned(), text }));
        if let Some((users, _)) = conf.per_user.clone() {
            std::fs::write(&users, USERS).expect("written");
            found.extend(
                conf.read_users(&Arc::new(config::SourceFile { path: users, text: USERS.to_owned() })),
            );
        }
        assert!(found.is_empty(), "{found:?}");
        let requests = requests(cases);
        let pairs =
            theirs(path, &requests).into_iter().zip(runtime.block_on(ours(&conf, &requests, &resolver)));
        for ((theirs, ours), case) in pairs.zip(cases.lines().filter(|line| !line.is_empty())) {
            // Python's word for nothing, with a HELO restriction and no HELO.
            let Some(theirs) = theirs.filter(|said| said != "None") else {
                silent.push(format!("{settings}: {case}"));
                continue;
            };
            count += 1;
            if theirs != ours {
                different.push(format!("{settings}: {case}\n  theirs {theirs}\n  ours   {ours}"));
            }
        }
    };
    for settings in SETTINGS {
        play(settings, CASES);
    }
    play("", FAULTS);
    play("TestOnly = 0|PermError_reject = True", FAULTS);
    play("Lookup_Time = 1", SILENCE);
    play("Lookup_Time = 1|TempError_Defer = True", SILENCE);
    play("Lookup_Time = 1|TempError_Defer = True|SPF_Enhanced_Status_Codes = No", SILENCE);
    println!("policyd-spf ended at {}: {silent:#?}", silent.len());
    assert!(silent.len() <= 12, "it answers next to nothing");
    assert!(different.is_empty(), "{} of {count} differ:\n{}", different.len(), different.join("\n"));
    println!("{count} answers are the same");
}

#[test]
fn the_same_answers() {
    if sim::world::is_inside() {
        compared();
        return;
    }
    let missing = match sim::world::missing() {
        None if !Path::new(PROGRAM).exists() => Some("policyd-spf is not installed".to_owned()),
        other => other,
    };
    if let Some(why) = missing {
        println!("the_same_answers: didn't run: {why}");
        assert!(std::env::var_os("CI").is_none(), "{why}");
        return;
    }
    let (said, passed) = sim::world::again("the_same_answers").expect("a world");
    print!("{said}");
    assert!(passed, "it failed in its world");
}
