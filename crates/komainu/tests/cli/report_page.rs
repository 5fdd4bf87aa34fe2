//! `komainu report --html`: a page that needs nothing else, looked at by a real browser where there is one. T2.22.

use crate::program::{Folder, komainu};
use std::process::Command;

/// A day of mail with what an attacker may write into a log.
fn log() -> String {
    let mut out = String::new();
    for hour in 0..24 {
        for minute in 0..=hour {
            let (stamp, client) =
                (format!("2026-11-22T{hour:02}:{minute:02}:01Z mx postfix"), format!("203.0.113.{minute}"));
            out.push_str(&format!(
                "{stamp}/smtpd[{minute}]: connect from unknown[{client}]\n\
                 {stamp}/smtpd[{minute}]: NOQUEUE: reject: RCPT from unknown[{client}]: 554 5.7.1 Service unavailable; Client \
                 host [{client}] blocked using bl.example; </td><img src=http://evil.example/{minute}>; \
                 from=<\"><script>alert(1)</script>@b> to=<x@e> proto=SMTP helo=<</style>\u{202e}>\n\
                 {stamp}/smtpd[{minute}]: warning: unknown[{client}]: SASL LOGIN authentication failed: x, \
                 sasl_username=<svg/onload=alert({minute})>\n\
                 {stamp}/smtpd[{minute}]: disconnect from unknown[{client}] helo=1 auth=0/1 mail=1 rcpt=0/1 commands=2/4\n\
                 {stamp}/pickup[1]: 4F1A{hour:02}{minute:02}D0: uid=0 from=<root>\n\
                 {stamp}/qmgr[2]: 4F1A{hour:02}{minute:02}D0: from=<\"a <b>\"@example.com>, size=900, nrcpt=1 (queue active)\n\
                 {stamp}/local[3]: 4F1A{hour:02}{minute:02}D0: to=<bob@example.com>, relay=local, delay=1.2, \
                 delays=1/0.1/0/0.1, dsn=2.0.0, status=sent (delivered to maildir)\n\
                 {stamp}/qmgr[2]: 4F1A{hour:02}{minute:02}D0: removed\n"
            ));
        }
    }
    out
}

/// A folder with the page of that log.
fn page() -> (Folder, String) {
    let folder = Folder::new();
    folder.write("mail.log", log());
    let ran = folder.run(komainu(), &["report", "-c", ".", "-d", "2026-11-22", "--html", "mail.log"], b"");
    assert_eq!((ran.code, ran.errors.as_str()), (Some(0), ""));
    folder.write("page.html", &ran.out);
    (folder, ran.out)
}

#[test]
fn one_file_whatever_the_log_says() {
    let (folder, page) = page();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    for expect in ["Sunday, 22 November 2026", "300", "bl.<wbr>example", "Every connection, once"] {
        assert!(page.contains(expect), "no {expect:?} in\n{page}");
    }
    for never in ["<script", "<img", "<svg/", "src=\"", "\u{202e}"] {
        let found = page.find(never).and_then(|at| page.get(at.saturating_sub(60)..));
        assert!(found.is_none(), "{never}: {}", found.unwrap_or_default());
    }
    let wrong = folder.run(komainu(), &["report", "--html", "--format", "json", "mail.log"], b"");
    assert_eq!(wrong.code, Some(64));
}

/// Looks at the page through a frame as narrow as a phone, or at what is printed as wide as paper; says what is wrong
/// with it.
const LOOK: &str = r#"<!DOCTYPE html><iframe id="f" src="PAGE" style="width:WIDTHpx;height:4000px;border:0"></iframe><script>
document.getElementById('f').onload = event => {
  const page = event.target.contentDocument, root = page.documentElement, wrong = [];
  const all = selector => [...page.querySelectorAll(selector)];
  const check = (good, what) => { if (!good) wrong.push(what); };
  check(root.lang === 'en', 'no language');
  check(root.scrollWidth <= WIDTH, 'too wide: ' + root.scrollWidth);
  if ('PAGE' === 'paper.html') {
    // Nothing is beyond the edge, and nothing is folded away.
    all('body *').forEach(e => check(e.getBoundingClientRect().right <= WIDTH + 1 || e.closest('.skip'),
      'beyond the edge: ' + e.textContent.slice(0, 40)));
    all('details table').forEach(t => check(t.getBoundingClientRect().height > 20, 'folded away'));
    check(all('details').length && all('nav, summary').every(e => !e.getClientRects().length), 'links on paper');
  } else {
    // What the keys reach, one after the other, is seen when it has the focus.
    all('details').forEach(d => { d.open = true; });
    const stops = all('a, summary, [tabindex="0"]');
    check(stops[0].hash === '#content', 'the first stop');
    stops.forEach(e => { e.focus(); const at = e.getBoundingClientRect();
      check(page.activeElement === e, 'no focus: ' + e.outerHTML.slice(0, 80));
      check(at.left >= 0 && at.right <= WIDTH && at.height >= 16, 'out of sight: ' + e.outerHTML.slice(0, 80)); });
    page.activeElement.blur();
  }
  check(page.title, 'no title');
  for (const one of ['h1', 'main', 'header', 'footer', 'nav']) check(all('body>' + one + ', header>' + one).length === 1, one);
  all('table').forEach(t => check(t.caption && t.caption.textContent.trim(), 'a table without a caption'));
  all('th').forEach(t => check(t.scope, 'a head without scope: ' + t.textContent));
  all('section, [role=region], [role=img]').forEach(s => {
    const named = (s.getAttribute('aria-labelledby') || '').split(' ').map(id => page.getElementById(id));
    check(named.every(n => n && n.textContent.trim()), 'no name: ' + s.outerHTML.slice(0, 80));
  });
  all('svg').forEach(s => check(s.getAttribute('role') === 'img' || s.getAttribute('aria-hidden') === 'true', 'a bare svg'));
  all('a').forEach(a => check(a.hash && page.getElementById(a.hash.slice(1)), 'a link to nowhere'));
  check(new Set(all('[id]').map(e => e.id)).size === all('[id]').length, 'an id twice');
  check(!all('script, img, iframe, object, embed, link, form').length, 'what has no place here');
  let level = 0;
  all('h1,h2,h3').forEach(h => { check(+h.tagName[1] <= level + 1, 'a heading too deep'); level = +h.tagName[1]; });
  const rgb = text => (text.match(/[\d.]+/g) || []).map(Number);
  const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  let texts = 0, least = 99;
  all('body *').filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && !e.closest('svg')).forEach(e => {
    let at = e, ground;
    do { ground = rgb(at.ownerDocument.defaultView.getComputedStyle(at).backgroundColor); at = at.parentElement; }
    while (at && ground.length === 4 && ground[3] === 0);
    const ink = rgb(page.defaultView.getComputedStyle(e).color);
    const [a, b] = [light(ink.slice(0, 3)), light(ground.slice(0, 3))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    texts++; least = Math.min(least, ratio);
    check(ratio >= 4.5, 'contrast ' + ratio.toFixed(2) + ': ' + e.textContent.slice(0, 40));
  });
  const scheme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  document.body.textContent = 'LOOKED ' + scheme + ' ' + JSON.stringify({ texts, least: least.toFixed(2), wrong });
};
</script>"#;

/// `scripts/bootstrap` only wishes for the browser: where Debian's chromium isn't installed this test doesn't run, and
/// says so.
#[test]
fn a_browser_finds_nothing_wrong() {
    if Command::new("chromium").arg("--version").output().is_err() {
        println!("a_browser_finds_nothing_wrong: didn't run: no chromium");
        return;
    }
    let (folder, page) = page();
    // What is printed, on a screen as wide as A4 less its margins.
    folder.write("paper.html", page.replace("@media print", "@media all"));
    let file = |name: &str| format!("file://{}", folder.path().join(name).display());
    for (scheme, setting, name, width) in [
        ("light", "1", "page.html", "360"),
        ("dark", "0", "page.html", "360"),
        ("light", "1", "paper.html", "688"),
    ] {
        folder.write("look.html", LOOK.replace("PAGE", name).replace("WIDTH", width));
        let output = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
            .args(["--disable-component-update", "--allow-file-access-from-files", "--enable-logging=stderr"])
            .args(["--virtual-time-budget=20000", "--dump-dom", "--window-size=1000,4200"])
            .arg(format!("--blink-settings=preferredColorScheme={setting}"))
            .arg(format!("--user-data-dir={}", folder.path().join(format!("profile-{scheme}")).display()))
            .arg(format!("--log-net-log={}", folder.path().join("net.json").display()))
            .arg(file("look.html"))
            .output()
            .expect("chromium runs");
        let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let found = out.split("LOOKED ").nth(1).unwrap_or_else(|| panic!("it didn't look: {out}\n{said}"));
        assert!(found.starts_with(scheme), "{found}");
        assert!(found.contains("\"wrong\":[]"), "{found}");
        let console: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(console.is_empty(), "{console:?}");
        let asked = std::fs::read(folder.path().join("net.json")).unwrap_or_default();
        assert!(
            !asked.is_empty() && !String::from_utf8_lossy(&asked).contains("evil.example"),
            "the page fetched something"
        );
    }
}
