use super::*;

fn load(text: &str) -> (MasterCf, Vec<Diagnostic>) {
    MasterCf::parse(&Arc::new(SourceFile { path: "master.cf".into(), text: text.to_owned() }))
}

#[track_caller]
fn faults(text: &str, expect: &[&str]) {
    let found: Vec<String> = load(text).1.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), expect.len(), "{found:#?}");
    for (found, expect) in found.iter().zip(expect) {
        assert!(found.starts_with(expect), "{found}");
    }
}

#[test]
fn columns() {
    let (master, diagnostics) = load(
        "# comment\nsmtp inet n - y 60? 20 smtpd\npickup unix n - - 60 1 pickup\n  -v -D -vv\npolicy unix - n n - 0 spawn\n\n  # inside\n  user=nobody argv=/usr/bin/policy -o x=y {a b}\n",
    );
    assert_eq!(diagnostics, []);
    let [smtp, pickup, policy] = &master.services[..] else { panic!("{master:?}") };
    assert_eq!(
        (smtp.kind, smtp.private, smtp.unprivileged, smtp.chroot),
        (ServiceKind::Inet, false, true, Some(true))
    );
    assert_eq!((smtp.wakeup, smtp.wakeup_if_used, smtp.process_limit), (Some(60), true, Some(20)));
    assert_eq!((smtp.role(), smtp.command.place.to_string()), (Role::Smtpd, "master.cf:2:24".to_owned()));
    assert_eq!(
        (pickup.verbose, pickup.debugger, pickup.chroot, pickup.role()),
        (3, true, None, Role::BuiltIn)
    );
    let words: Vec<&str> = policy.arguments.iter().map(|word| word.value.as_str()).collect();
    assert_eq!(words, ["user=nobody", "argv=/usr/bin/policy", "-o", "x=y", "a b"]);
    assert_eq!(policy.arguments[3].place.to_string(), "master.cf:8:39");
    assert_eq!((policy.role(), policy.overrides.len()), (Role::Spawn, 0));
}

#[test]
fn overrides() {
    #[track_caller]
    fn check(words: &str, expect: &[(&str, &str)]) {
        let (master, diagnostics) = load(&format!("2525 inet n - n - - smtpd\n  {words}\n"));
        assert_eq!(diagnostics, []);
        let overrides = &master.services[0].overrides;
        let found: Vec<_> =
            overrides.iter().map(|o| (o.name.value.as_str(), o.value.value.as_str())).collect();
        assert_eq!(found, expect, "{words}");
    }
    check("-o a=b -o c=d,e -v", &[("a", "b"), ("c", "d,e")]);
    check(
        "-o {mynetworks=1.2.3.4 5.6.7.8}  -o { b = c d }",
        &[("mynetworks", "1.2.3.4 5.6.7.8"), ("b", "c d")],
    );
    check("-o b=x{y z}w -o c={ d }", &[("b", "x{y z}w"), ("c", "{ d }")]);
    check("-oa=b -vo c=d=e -o e=", &[("a", "b"), ("c", "d=e"), ("e", "")]);
}

/// T0.4: `-o smtpd_sasl_type = dovecot` is found, placed, and mended.
#[test]
fn white_space_around_equals() {
    #[track_caller]
    fn check(words: &str, replacement: &str) {
        let text = format!("submission inet n - y - - smtpd\n  -v {words} -o x=y\n");
        let (master, diagnostics) = load(&text);
        assert_eq!(diagnostics.len(), 1, "{diagnostics:#?}");
        let one = &diagnostics[0];
        assert_eq!((one.code.0, one.severity), (210, crate::Severity::Error));
        assert_eq!((one.place.to_string(), one.place.text()), ("master.cf:2:6".to_owned(), words));
        assert_eq!(one.help.as_deref(), Some(format!("write `{replacement}`").as_str()));
        let fix = one.fix.as_ref().expect("a fix");
        assert_eq!((fix.place.text(), fix.replacement.as_str()), (words, replacement));
        let mended = text.replace(words, replacement);
        let (again, diagnostics) = load(&mended);
        assert_eq!(diagnostics, []);
        let values = |master: &MasterCf| -> Vec<String> {
            master.services[0]
                .overrides
                .iter()
                .map(|o| format!("{}={}", o.name.value, o.value.value))
                .collect()
        };
        assert_eq!(values(&again), values(&master));
    }
    check("-o smtpd_sasl_type = dovecot", "-o smtpd_sasl_type=dovecot");
    check("-o smtpd_sasl_type= dovecot", "-o smtpd_sasl_type=dovecot");
    check("-o smtpd_sasl_type =dovecot", "-o smtpd_sasl_type=dovecot");
    check("-osmtpd_sasl_type = dovecot", "-o smtpd_sasl_type=dovecot");
    check(
        "-o smtpd_client_restrictions=permit_mynetworks, reject",
        "-o { smtpd_client_restrictions = permit_mynetworks, reject }",
    );
}

#[test]
fn bad_lines() {
    faults("smtp inet n - y -\n", &["master.cf:1:1: error[K0201]: bad field count: 6 of 8"]);
    faults(
        "25 inet n - y - - smtpd\n-o smtpd_timeout=3s\n",
        &[
            "master.cf:2:1: error[K0201]: bad field count: 2 of 8 columns; options of the service above begin with white space",
        ],
    );
    faults(
        "25 inet n - y - - smtpd \\\n  -o smtpd_timeout=3s \\\n  -v\n",
        &[
            "master.cf:1:25: error[K0211]: unexpected command-line argument: \\; delete it",
            "master.cf:2:23: error[K0211]",
        ],
    );
    faults("smtp bogus n - y - - smtpd\n", &["master.cf:1:6: error[K0202]: invalid type field \"bogus\""]);
    faults("smtp inet x - y - - smtpd\n", &["master.cf:1:11: error[K0203]: invalid private field \"x\""]);
    faults("smtp inet n - y 3x - smtpd\n", &["master.cf:1:17: error[K0203]: invalid wakeup field"]);
    faults("smtp inet n - y 3 -5 smtpd\n", &["master.cf:1:19: error[K0203]: invalid maxproc field"]);
    faults("smtp inet y - y 3 - smtpd\n", &["master.cf:1:1: warning[K0207]"]);
    faults("a:b inet n - y - - smtpd\n", &["master.cf:1:1: error[K0208]: `b` is no port"]);
    faults(
        "25 inet n - y - - smtpd\n25 inet n - y - 7 smtpd\n25 unix n - y - 7 smtp\n",
        &[
            "master.cf:2:1: warning[K0204]: the service 25 inet overrides its earlier definition in master.cf:1",
        ],
    );
    faults(" 25 inet n - y - - smtpd\n", &["master.cf:1:1: warning[K0206]"]);
    faults(
        "25 inet n - y - - smptd\n",
        &["master.cf:1:19: error[K0205]: `smptd` is no command of Postfix; did you mean `smtpd`?"],
    );
    faults("x unix n - y - - mine\n", &["master.cf:1:18: warning[K0205]"]);
    faults(
        "25 inet n - y - - smtpd foo bar -v\n",
        &["master.cf:1:25: error[K0211]: unexpected command-line argument: foo bar"],
    );
    faults("25 inet n - y - - smtpd -o\n", &["master.cf:1:25: error[K0212]"]);
    faults(
        "25 inet n - y - - smtpd -o abc -o { d e } -o {=e}\n",
        &["master.cf:1:28: error[K0212]", "master.cf:1:35: error[K0212]", "master.cf:1:46: error[K0212]"],
    );
    faults(
        "25 inet n - y - - smtpd -o { a = b\n",
        &["master.cf:1:28: error[K0213]: missing '}' in \"{ a = b\""],
    );
    faults(
        "25 inet n - y - - smtpd -o {a = b}c\n",
        &["master.cf:1:28: error[K0213]: syntax error after '}'"],
    );
    faults("25 inet n - y - - smtpd -x\n", &["master.cf:1:25: warning[K0214]"]);
}

#[test]
fn endpoints() {
    #[track_caller]
    fn check(name: &str, expect: Option<(Option<&str>, Port)>) {
        let expect = expect.map(|(host, port)| Endpoint { host: host.map(str::to_owned), port });
        assert_eq!(Endpoint::parse(name), expect, "{name}");
    }
    check("smtp", Some((None, Port::Number(25))));
    check("10025", Some((None, Port::Number(10025))));
    check("127.0.0.1:submission", Some((Some("127.0.0.1"), Port::Number(587))));
    check("[::1]:25", Some((Some("::1"), Port::Number(25))));
    check("::1:smtps", Some((Some("::1"), Port::Number(465))));
    check("localhost:mine", Some((Some("localhost"), Port::Name("mine".to_owned()))));
    check(":25", Some((None, Port::Number(25))));
    check("0", None);
    check("99999", None);
    check("[::1]", None);
    check("", None);
}

#[test]
fn roles() {
    let (master, _) = load(
        "retry unix - - n - - error\nerror unix - - n - - error\nlmtp unix - - n - - /usr/lib/postfix/sbin/lmtp\nproxymap unix - - n - - proxymap\n",
    );
    let roles: Vec<Role> = master.services.iter().map(Service::role).collect();
    assert_eq!(roles, [Role::Retry, Role::Error, Role::Lmtp, Role::WithoutEffect]);
}

/// K0238: each server costs memory and time; a thousand are enough.
#[test]
fn more_servers_than_are_served() {
    let check = |servers: usize, others: usize, expect: &[u16]| {
        let mut text: String = (0..servers).map(|n| format!("{} inet n - n - - smtpd\n", n + 1)).collect();
        text.extend((0..others).map(|n| format!("t{n} unix - - n - - smtp\n")));
        let file = Arc::new(SourceFile { path: "master.cf".into(), text });
        let (master, found) = MasterCf::parse(&file);
        let codes: Vec<u16> = found.iter().map(|one| one.code.0).collect();
        assert_eq!((codes.as_slice(), master.services.len()), (expect, servers.min(1000) + others));
    };
    check(1000, 2000, &[]);
    check(1001, 1, &[238]);
    check(3000, 0, &[238]);
}
