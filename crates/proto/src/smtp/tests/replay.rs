//! Replays what clients sent to a real Postfix 3.7.11 and compares every reply line, stored body, and what was logged
//! with the counters of the `disconnect` line.

use crate::smtp::drive::{Drive, local_peer};
use crate::smtp::{AuthSettings, BareNewline, Keywords, Note, Peer, Request, Settings, TlsLevel, Verdict};
use mail::{Dsn, Reply};
use std::sync::Arc;
use std::time::Duration;

/// The restrictions that the recorded Postfix had.
fn answers(request: &Request) -> Verdict {
    let refuse = |code, dsn: (u8, u16, u16), text: String| {
        Verdict::Reject(Reply::new(code, Dsn::new(dsn.0, dsn.1, dsn.2), text))
    };
    match request {
        Request::Etrn(domain) => {
            Verdict::Reject(Reply::plain(459, format!("<{domain}>: service unavailable")))
        }
        Request::Rcpt(recipient) if recipient.address.as_str() == "rej@example" => {
            refuse(554, (5, 7, 1), "<rej@example>: Recipient address rejected: no".to_owned())
        }
        _ => Verdict::Permit,
    }
}

fn refuse_client(_: &Request) -> Verdict {
    let text = "<unknown[127.0.0.1]>: Client host rejected: Access denied";
    Verdict::Reject(Reply::new(554, Dsn::new(5, 7, 1), text))
}

fn refuse_client_421(_: &Request) -> Verdict {
    let text = "<unknown[127.0.0.1]>: Client host rejected: go away";
    Verdict::Reject(Reply::new(421, Dsn::new(4, 7, 0), text))
}

fn refuse_helo(request: &Request) -> Verdict {
    match request {
        Request::Helo { name, .. } => {
            let text = format!("<{name}>: Helo command rejected: Access denied");
            Verdict::Reject(Reply::new(554, Dsn::new(5, 7, 1), text))
        }
        _ => answers(request),
    }
}

fn refuse_data(request: &Request) -> Verdict {
    match request {
        Request::Data => {
            let text = "<DATA>: Data command rejected: Access denied";
            Verdict::Reject(Reply::new(554, Dsn::new(5, 7, 1), text))
        }
        _ => answers(request),
    }
}

fn refuse_message(request: &Request) -> Verdict {
    match request {
        Request::EndOfData { .. } => {
            let text = "<END-OF-MESSAGE>: End-of-data rejected: Access denied";
            Verdict::Reject(Reply::new(554, Dsn::new(5, 7, 1), text))
        }
        _ => answers(request),
    }
}

fn refuse_letters(request: &Request) -> Verdict {
    let Request::Rcpt(recipient) = request else { return Verdict::Permit };
    let (code, dsn, why) = match recipient.address.local() {
        "a" => (421, Dsn::new(4, 7, 0), "go away"),
        "b" => (521, Dsn::new(5, 7, 0), "go away"),
        _ => (550, Dsn::new(5, 7, 1), "multi"),
    };
    let text = format!("<{}>: Recipient address rejected: {why}", recipient.address.as_str());
    Verdict::Reject(Reply::new(code, dsn, text))
}

fn base() -> Settings {
    Settings {
        hostname: "mx.example".to_owned(),
        banner: "mx.example ESMTP Postfix".to_owned(),
        error_sleep_time: Duration::ZERO,
        forbid_bare_newline: BareNewline::Allow,
        forbid_unauth_pipelining: false,
        help: false,
        ..Settings::default()
    }
}

/// The recorded listeners.
fn listener(port: u16) -> Option<Drive> {
    let mut peer = local_peer();
    let mut settings = base();
    let mut decide: fn(&Request) -> Verdict = answers;
    match port {
        2526 => settings.helo_required = true,
        2527 => settings.strict_rfc821_envelopes = true,
        2528 => {
            settings.disable_vrfy = true;
            settings.noop_commands = vec!["FOO".to_owned(), "RSET".to_owned()];
        }
        2529 => (peer.rights.xclient, peer.rights.xforward, peer.rights.verp) = (true, true, true),
        2530 => {
            (settings.recipient_limit, settings.recipient_overshoot_limit) = (2, 1);
            settings.message_size_limit = 1000;
        }
        2531 => settings.soft_bounce = true,
        2532 => {
            (settings.hard_error_limit, settings.soft_error_limit) = (4, 1);
            settings.error_sleep_time = Duration::from_secs(1);
        }
        2533 => (settings.junk_command_limit, settings.hard_error_limit) = (2, 2),
        2534 => settings.timeout = Duration::from_secs(2),
        2535 => settings.forbid_bare_newline = BareNewline::Reject(550),
        2536 => settings.forbid_bare_newline = BareNewline::Normalize,
        2537 => settings.forbid_unauth_pipelining = true,
        2540 => settings.smtputf8_enable = false,
        2541 => settings.strict_smtputf8 = true,
        2542 => settings.delay_open_until_valid_rcpt = false,
        2548 => (settings.hard_error_limit, settings.helo_required) = (2, true),
        2555 => settings.forbidden_commands = vec!["VRFY".to_owned(), "RSET".to_owned()],
        2556 => settings.tls = TlsLevel::Encrypt,
        2571 => {
            settings.tls = TlsLevel::May;
            settings.auth = Some(AuthSettings { tls_only: true, ..AuthSettings::default() });
        }
        _ => decide = other_listener(port, &mut settings)?,
    }
    Some(drive(settings, peer, decide))
}

/// Those with restrictions or texts of their own.
fn other_listener(port: u16, settings: &mut Settings) -> Option<fn(&Request) -> Verdict> {
    let discard = |names: &[&str]| {
        names.iter().filter_map(|name| Keywords::named(name)).fold(Keywords::NONE, Keywords::with)
    };
    match port {
        2525 => {}
        2538 => return Some(refuse_client),
        2539 => {
            settings.discard_ehlo_keywords = discard(&["pipelining", "dsn", "chunking", "silent-discard"])
        }
        2543 => return Some(refuse_helo),
        2544 => {
            settings.discard_ehlo_keywords =
                discard(&["vrfy", "etrn", "enhancedstatuscodes", "8bitmime", "size", "smtputf8"]);
        }
        2545 => return Some(refuse_data),
        2546 => return Some(refuse_message),
        2550 => {
            let text = "For help: $localtime $client_address $client_port $server_name $foo \\n second";
            settings.reject_footer = Some(text.to_owned());
        }
        2551 => settings.reject_footer = Some("\\c. Help $server_name\\nmore".to_owned()),
        2552 => settings.command_filter = true,
        2553 => return Some(refuse_client_421),
        2554 => return Some(refuse_letters),
        _ => return None,
    }
    Some(answers)
}

fn drive(settings: Settings, peer: Peer, decide: fn(&Request) -> Verdict) -> Drive {
    let drive = Drive::new(settings, peer, decide);
    drive.filter(|line| match line {
        "FOO" => Some("NOOP".to_owned()),
        "BAR" => Some("GET /".to_owned()),
        "SP" => Some("   NOOP x".to_owned()),
        _ => None,
    })
}

/// Undoes the record's escapes.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match rest.next() {
            Some('r') => bytes.push(b'\r'),
            Some('n') => bytes.push(b'\n'),
            Some('t') => bytes.push(b'\t'),
            Some('x') => {
                let hex: String = rest.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&hex, 16).unwrap());
            }
            Some(other) => bytes.push(u8::try_from(other).unwrap()),
            None => {}
        }
    }
    bytes
}

/// A reply line without what differs from run to run.
fn normal(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line).into_owned();
    if let Some((head, _)) = line.split_once("queued as ") {
        return format!("{head}queued as …");
    }
    match line.split_once("For help: ") {
        Some((head, tail)) => format!("{head}For help: {}", tail.get(15..24).unwrap_or_default()),
        None => line,
    }
}

/// One recorded connection: its port and lines.
struct Section<'a> {
    port: u16,
    place: usize,
    lines: Vec<&'a str>,
}

fn sections(record: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for (number, line) in record.lines().enumerate() {
        if let Some(port) = line.strip_prefix("= ") {
            sections.push(Section { port: port.parse().unwrap(), place: number + 1, lines: Vec::new() });
        } else if let Some(section) = sections.last_mut() {
            section.lines.push(line);
        }
    }
    sections
}

/// Plays a section; gives what it came to, in the record's own form.
fn play(section: &Section<'_>) -> Option<(Vec<String>, Vec<String>)> {
    let mut drive = listener(section.port)?;
    drive.server.adopt(Arc::clone(drive.server.settings()));
    let (mut expected, mut seen) = (Vec::new(), Vec::new());
    let mut shown = 0;
    let mut bodies = 0;
    let mut show = |drive: &mut Drive, seen: &mut Vec<String>| {
        drive.wait(Duration::from_millis(250));
        let fresh = drive.out.split_off(0);
        seen.extend(
            fresh
                .split(|&b| b == b'\n')
                .filter(|l| !l.is_empty())
                .map(|l| normal(l.strip_suffix(b"\r").unwrap_or(l))),
        );
        if drive.closed && shown == 0 {
            shown = 1;
            seen.push("[EOF]".to_owned());
        }
    };
    show(&mut drive, &mut seen);
    for line in &section.lines {
        let (kind, text) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            ">" if !drive.closed => {
                seen.push(format!("> {text}"));
                expected.push(format!("> {text}"));
                drive.feed(&unescape(text));
                show(&mut drive, &mut seen);
            }
            "~" => {
                drive.wait(Duration::from_secs_f64(text.parse().unwrap()));
                show(&mut drive, &mut seen);
            }
            "<" if matches!(text, "[EOF]" | "[RST]")
                && expected.last().is_some_and(|last| last == "[EOF]") => {}
            "<" if matches!(text, "[EOF]" | "[RST]") => expected.push("[EOF]".to_owned()),
            "<" => expected.push(normal(&unescape(text))),
            "@" => {
                expected.push(format!("@ {text:?}"));
                let body = drive.messages.get(bodies).cloned().unwrap_or_default();
                bodies += 1;
                // Postfix's cleanup has put a space for each stray <CR>; that isn't the conversation's work.
                let body: Vec<u8> = body.iter().map(|&b| if b == b'\r' { b' ' } else { b }).collect();
                let stored = unescape(text);
                seen.push(if body == stored { format!("@ {text:?}") } else { format!("@ {body:?}") });
            }
            "%" => expected.push(format!("% {text}")),
            _ => {}
        }
    }
    if expected.iter().any(|line| line.starts_with("% ")) {
        drive.hang_up();
        drive.settle();
        seen.extend(drive.notes.iter().map(|note| format!("% {}", logged(note))));
        seen.push(format!("% disconnect {}", drive.server.counters()));
    }
    Some((expected, seen))
}

/// A note as the record has it.
fn logged(note: &Note) -> String {
    match note {
        Note::LostConnection(place) => format!("lost connection after {place} from CLIENT"),
        Note::Timeout(place) => format!("timeout after {place} from CLIENT"),
        Note::TooManyErrors(place) => format!("too many errors after {place} from CLIENT"),
        Note::Pipelining { command, text } => {
            format!("improper command pipelining after {command} from CLIENT: {text}")
        }
        Note::NonSmtpCommand(text) => format!("warning: non-SMTP command from CLIENT: {text}"),
        Note::IllegalAddress { command, address } => {
            format!("warning: Illegal address syntax from CLIENT in {command} command: {address}")
        }
        Note::BareNewline(place) => format!("reject {place}"),
        Note::Rejected { command, .. } => format!("reject {command}"),
        Note::LongRequest { limit, text } => {
            format!("warning: CLIENT: request longer than {limit}: {text}...")
        }
        Note::MalformedBdat(line) => {
            format!("warning: ID: malformed BDAT command syntax from CLIENT: {line}")
        }
        Note::BdatTooLarge => "warning: ID: BDAT request from CLIENT exceeds message size limit".to_owned(),
        Note::QueueFileLimit => "warning: ID: queue file size limit exceeded".to_owned(),
        Note::DiscardedKeywords(names) => format!("discarding EHLO keywords: {names}"),
        Note::RejectFilter { before, after } => format!("reject filter in: {before} out: {after}"),
        Note::LimitExceeded { limit, count } => {
            format!("warning: {limit} limit exceeded: {count} from CLIENT for service smtp")
        }
        Note::StartTlsRefused => "warning: Refusing STARTTLS request from CLIENT for service smtp".to_owned(),
        Note::Warning(text) => format!("warning: {text}"),
    }
}

/// Where we mean to differ, the record says why.
fn on_purpose(section: &Section<'_>) -> bool {
    section.lines.iter().any(|line| line.starts_with("# differs: "))
}

#[test]
fn replies_are_postfix_s() {
    let record = include_str!("postfix-3.7.txt");
    let mut played = 0;
    let mut wrong = String::new();
    for section in sections(record) {
        let (expected, seen) = play(&section).unwrap();
        played += 1;
        if (expected != seen) != on_purpose(&section) {
            let differs = expected
                .iter()
                .zip(&seen)
                .position(|(a, b)| a != b)
                .unwrap_or(expected.len().min(seen.len()));
            let from = differs.saturating_sub(2);
            wrong.push_str(&format!(
                "line {}, port {}:\n  postfix: {:#?}\n  we: {:#?}\n",
                section.place,
                section.port,
                expected.iter().skip(from).take(6).collect::<Vec<_>>(),
                seen.iter().skip(from).take(6).collect::<Vec<_>>(),
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(played >= 200, "{played}");
}
