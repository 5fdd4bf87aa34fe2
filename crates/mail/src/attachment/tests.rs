//! Messages with attachments in all wrappings, and archives that are made to harm who opens them. T1.15.

use super::*;
use miniz_oxide::deflate::compress_to_vec;

pub(super) fn rules() -> Rules {
    let limits = Limits { depth: 3, unpacked_bytes: 20_000_000, ratio: 100, entries: 1000 };
    Rules { limits, ..Rules::default() }
}

pub(super) fn scan_by(rules: Rules, message: &[u8], size: usize) -> Option<Danger> {
    let mut scanner = Scanner::new(Arc::new(rules));
    message.chunks(size).for_each(|chunk| scanner.feed(chunk));
    scanner.end()
}

pub(super) fn scan(message: &[u8]) -> Option<Danger> {
    let found = scan_by(rules(), message, message.len().max(1));
    for size in [1, 19, 4096] {
        if message.len() / size < 100_000 {
            assert_eq!(scan_by(rules(), message, size), found, "in chunks of {size}");
        }
    }
    found
}

/// A message with one attachment.
pub(super) fn message(name: &str, content: &[u8]) -> Vec<u8> {
    let mut text = format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\n\
         Content-Type: application/octet-stream; name=\"{name}\"\nContent-Transfer-Encoding: base64\n\n"
    )
    .into_bytes();
    for line in content.chunks(57) {
        text.extend_from_slice(crate::base64::encode(line).as_bytes());
        text.push(b'\n');
    }
    text.extend_from_slice(b"--b--\n");
    text
}

/// One file in a zip; what its headers say can be changed.
pub(super) struct File {
    name: Vec<u8>,
    flags: u16,
    method: u16,
    packed: Vec<u8>,
    says: (u32, u32),
}

pub(super) fn file(name: &str, content: &[u8]) -> File {
    let packed = compress_to_vec(content, 6);
    let says = (u32::try_from(packed.len()).unwrap(), u32::try_from(content.len()).unwrap());
    File { name: name.into(), flags: 0, method: 8, packed, says }
}

pub(super) fn stored(name: &str, content: &[u8]) -> File {
    let length = u32::try_from(content.len()).unwrap();
    File { name: name.into(), flags: 0, method: 0, packed: content.to_vec(), says: (length, length) }
}

fn header(file: &File, local: Option<usize>) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(if local.is_none() { b"PK\x03\x04\x14\0" } else { b"PK\x01\x02\x14\0\x14\0" });
    out.extend_from_slice(&file.flags.to_le_bytes());
    out.extend_from_slice(&file.method.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&file.says.0.to_le_bytes());
    out.extend_from_slice(&file.says.1.to_le_bytes());
    out.extend_from_slice(&u16::try_from(file.name.len()).unwrap().to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    if let Some(at) = local {
        out.extend_from_slice(&[0; 10]);
        out.extend_from_slice(&u32::try_from(at).unwrap().to_le_bytes());
    }
    out.extend_from_slice(&file.name);
    out
}

fn table(files: &[(usize, &File)]) -> Vec<u8> {
    let mut out: Vec<u8> = files.iter().flat_map(|(at, file)| header(file, Some(*at))).collect();
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&[0; 14]);
    out
}

pub(super) fn zip(files: &[File]) -> Vec<u8> {
    let (mut out, mut places) = (Vec::new(), Vec::new());
    for file in files {
        places.push((out.len(), file));
        out.extend_from_slice(&header(file, None));
        out.extend_from_slice(&file.packed);
    }
    let table = table(&places);
    out.extend_from_slice(&table);
    out
}

pub(super) fn gzip(content: &[u8]) -> Vec<u8> {
    [b"\x1f\x8b\x08\x08\0\0\0\0\0\x03name\0".as_slice(), &compress_to_vec(content, 6), &[0; 8]].concat()
}

pub(super) fn tar(files: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, kind, content) in files {
        let mut block = [0_u8; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        block[156] = *kind;
        block[257..262].copy_from_slice(b"ustar");
        out.extend_from_slice(&block);
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

pub(super) fn program() -> Vec<u8> {
    [b"MZ\x90\0\x03\0\0\0".as_slice(), &[0; 200], b"PE\0\0", &[7; 3000]].concat()
}

pub(super) fn named(found: Option<Danger>) -> String {
    match found {
        Some(Danger::Name { name, .. }) => name,
        Some(Danger::Kind { name, kind }) => format!("{name} {}", kind.word()),
        Some(Danger::Bomb) => "bomb".to_owned(),
        Some(Danger::Depth) => "depth".to_owned(),
        Some(Danger::Names) => "names".to_owned(),
        None => String::new(),
    }
}

#[test]
fn archives() {
    let check = |name: &str, content: &[u8], expect: &str| {
        assert_eq!(named(scan(&message(name, content))), expect, "{name}");
    };
    let text = b"nothing but text\n".repeat(500);
    let (exe, elf) = (program(), [b"\x7fELF\x02".as_slice(), &[1; 500]].concat());
    check("a.txt", &text, "");
    check("a.scr", &text, "a.scr");
    check("a.txt", &exe, "a.txt exe");
    check("a.txt", &elf, "a.txt elf");
    check("short.txt", b"#!/bin/sh\n", "short.txt script");
    check("a.txt", b"MZ is how this text begins", "");
    check("a.zip", &zip(&[file("b.txt", &text)]), "");
    check("a.zip", &zip(&[file("b.txt", &text), file("c/d.exe", b"")]), "d.exe");
    check("a.zip", &zip(&[file("b.txt", &text), file("c.txt", &exe)]), "c.txt exe");
    check("a.zip", &zip(&[stored("b.txt", &text), stored("c.txt", &exe)]), "c.txt exe");
    check("a.zip", &zip(&[file("b.zip", &zip(&[file("c.txt", &exe)]))]), "c.txt exe");
    check("a.zip", &zip(&[stored("b.zip", &zip(&[stored("c.dat", &zip(&[file("e.js", b"")]))]))]), "e.js");
    check("a.dat", &[text.as_slice(), &zip(&[file("b.bat", b"x")])].concat(), "b.bat");
    check("a.docx", &zip(&[file("word/document.xml", &text)]), "");
    check("a.tar", &tar(&[("b.txt", b'0', &text), ("c.exe", b'0', b"")]), "c.exe");
    check("a.tar", &tar(&[("b.txt", b'0', &text), ("c", b'0', &exe)]), "c exe");
    check("a.tgz", &gzip(&tar(&[("b.txt", b'0', &text), ("c.vbs", 0, &text)])), "c.vbs");
    check(
        "a.tgz",
        &gzip(&tar(&[("././@LongLink", b'L', b"a/long/b.exe\0"), ("b.txt", b'0', &text)])),
        "b.exe",
    );
    check("a.tgz", &gzip(&tar(&[("x", b'x', b"17 path=a/b.exe\n"), ("b.txt", b'0', &text)])), "b.exe");
    check("a.gz", &gzip(&exe), "a.gz exe");
    check("a.gz", &[gzip(&text), gzip(&zip(&[file("b.hta", b"")]))].concat(), "b.hta");
    let mail = message("x.pif", b"x");
    check("a.eml", &mail, "x.pif");
    check("a.zip", &zip(&[file("b.eml", &mail)]), "x.pif");
}

#[test]
fn wrappings() {
    let check = |text: &str, expect: &str| assert_eq!(named(scan(text.as_bytes())), expect, "{text}");
    let part = |head: &str, body: &str| {
        format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n{head}\n\n{body}\n--b--\n")
    };
    check("Subject: a.exe\n\na.exe\n", "");
    check("Content-Type: text/plain; name=a.exe\n\nx\n", "a.exe");
    check(&part("Content-Disposition: attachment; filename=a.exe", ""), "a.exe");
    check(&part("Content-type: message/rfc822\n\nContent-Type: x/y; name=a.exe", "x"), "a.exe");
    let inner = crate::base64::encode(b"Content-Type: x/y; name=a.exe\n\nx\n");
    check(&part("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64", &inner), "a.exe");
    let shell = crate::base64::encode(b"#!/bin/sh\nrm\n");
    check(&part("Content-Transfer-Encoding: BASE64", &shell), " script");
    check(&part("Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64", &shell), " script");
    check(&part("Content-Transfer-Encoding: (x) base64; y", &shell), " script");
    check(&part("Content-Transfer-Encoding: quoted-printable", "=23!/b=\nin/sh\nx"), " script");
    check(&part("X: y", "text\nbegin 644 a.exe\n#0V%T\n`\nend\ntext"), "a.exe");
    check(&part("X: y", "begin 644 a\n-(R$O8FEN+W-H\"G)M\"@``\n`\nend\ntext"), "a script");
    let deep: String =
        (0..200).map(|at| format!("Content-Type: multipart/x; boundary=b{at}\n\n--b{at}\n")).collect();
    check(&deep, "depth");
    check("\nbegin the day with a.exe\n", "");
    check("\nbegin 644 a.txt\n#0V%T\n`\nend\n", "");
}

/// Programs that aren't encoded at all, or in a way that nobody knows; scripts that are only shown pass.
#[test]
fn contents_as_they_stand() {
    let scan_part = |head: &str, body: &[u8]| {
        let head = format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n{head}\n\n");
        named(scan(&[head.as_bytes(), body, b"\n--b--\n"].concat()))
    };
    let script = b"#!/bin/sh\nrm\n".as_slice();
    for encoding in ["7bit", "8bit", "binary", "x-unknown", "", "base64, or not"] {
        let head =
            format!("Content-Disposition: attachment; filename=a.bin\nContent-Transfer-Encoding: {encoding}");
        assert_eq!(scan_part(&head, script), "a.bin script", "{encoding}");
        assert_eq!(scan_part(&head, &program()), "a.bin exe", "{encoding}");
        assert_eq!(scan_part(&head, &zip(&[stored("b.js", b"x")])), "b.js", "{encoding}");
        assert_eq!(scan_part(&head, b"text\n#!/bin/sh\n"), "", "{encoding}");
    }
    let check = |head: &str, expect: &str| assert_eq!(scan_part(head, script), expect, "{head}");
    check("Content-Type: text/plain; name=a.txt", "a.txt script");
    check("Content-Type: application/octet-stream", " script");
    check("Content-Disposition: attachment", " script");
    check("Content-Type: message/rfc822; name=a.bin", "a.bin script");
    check("Content-Type: text/plain", "");
    check("Content-Type: text/plain\nContent-Disposition: inline", "");
    check("X: y", "");
    assert_eq!(named(scan(b"Subject: how to\n\n#!/bin/sh\nrm\n")), "");
    let dos = "Content-Disposition: attachment; filename=a.bin\r\n\r\n#!/bin/sh\r\n";
    assert_eq!(named(scan(dos.as_bytes())), "a.bin script");
    let uu = "text\nbegin 644 b\n-(R$O8FEN+W-H\"G)M\"@``\n`\nend\ntext";
    assert_eq!(scan_part("Content-Type: text/plain; name=a.txt", uu.as_bytes()), "b script");
    // Two encodings are said: either may be the one.
    let both = "Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: quoted-printable";
    assert_eq!(scan_part(both, b"=23!/bin/sh"), " script");
    assert_eq!(scan_part(both, crate::base64::encode(script).as_bytes()), " script");
}

/// What one reader takes for a part's header, and another one doesn't.
#[test]
fn parts_that_some_see() {
    let check = |text: &str, expect: &str| assert_eq!(named(scan(text.as_bytes())), expect, "{text:?}");
    let exe = "Content-Disposition: attachment; filename=a.exe";
    let parts = |parameters: &str, boundary: &str| {
        format!("Content-Type: multipart/mixed; {parameters}\n\n--{boundary}\n{exe}\n\nx\n--{boundary}--\n")
    };
    check(&parts("boundary*0=b; boundary*1=c", "bc"), "a.exe");
    check(&parts("boundary*1=c;\n boundary*0=b", "bc"), "a.exe");
    check(&parts("boundary*=us-ascii''b%63", "bc"), "a.exe");
    check(&parts("boundary*0*=us-ascii''b%63; boundary*1=\"d e\"", "bcd e"), "a.exe");
    check(&parts("boundary=x; boundary=b", "b"), "a.exe");
    check(&parts("boundary=x; boundary=b", "x"), "a.exe");
    check(&parts("boundary=x; boundary=b", "y"), "");
    let twice = "Content-Type: multipart/mixed; boundary=x\nContent-Type: multipart/mixed; boundary=b\n\n";
    check(&format!("{twice}--x\n\ntext\n--b\n{exe}\n\n"), "a.exe");
    // For one the boundary of the outer parts ends the inner ones, for another it isn't that boundary.
    let inner = "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/x; boundary=i\n\n";
    check(&format!("{inner}--ox\n\ntext\n--i\n{exe}\n\n"), "a.exe");
    check(&format!("{inner}--o--\n\ntext\n--i\n{exe}\n\n"), "a.exe");
    let part = |head: &str, body: &str| {
        format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n{head}\n\n{body}\n--b--\n")
    };
    check(&part(&format!("junk\n{exe}"), "x"), "a.exe");
    check(&part(&format!("From x y\n{exe}"), "x"), "a.exe");
    check(&part(&format!("From x y\njunk\nX: y\n{exe}"), "x"), "a.exe");
    check(&part(&format!(" folded\n{exe}"), "x"), "a.exe");
    check(&part("X: y", exe), "");
    check(&part("X: y", &format!("text\n{exe}\n\n")), "");
    let shell = crate::base64::encode(b"#!/bin/sh\nrm\n");
    check(&part("junk\nContent-Transfer-Encoding: base64", &shell), " script");
    check(&part(&format!("Content-Transfer-Encoding: base64\n{shell}"), ""), " script");
    check(&part(&format!("X: y\r{exe}"), "x"), "a.exe");
    check(&part(&format!("Content-Type: x/y\rContent-Transfer-Encoding: base64\r{exe}"), "x"), "a.exe");
    check(&part("Content-Disposition: attachment\r; filename=a.exe", "x"), "a.exe");
    check(&part("Content-Type: x/y\rContent-Transfer-Encoding: base64", &shell), " script");
    check(&format!("Content-Type: multipart/mixed; boundary=b\n\n--b\r{exe}\n\nx\n"), "a.exe");
    let encoded = |inner: &str, kind: &str| {
        let body = crate::base64::encode(inner.as_bytes());
        format!("Content-Type: {kind}\nContent-Transfer-Encoding: base64\n\n{body}\n")
    };
    let inner = format!("--b\n{exe}\n\nx\n--b--\n");
    check(&encoded(&inner, "multipart/mixed; boundary=b"), "a.exe");
    check(&encoded(&format!("preamble\n{inner}"), "multipart/mixed; boundary=b"), "a.exe");
    check(&encoded("#!/bin/sh\nrm\n", "multipart/mixed; boundary=b"), " script");
    let digest = "Content-Type: multipart/digest; boundary=b\n\n--b\n\n";
    check(&format!("{digest}Content-Type: x/y; name=a.exe\n\nx\n"), "a.exe");
}

/// Boundaries without end, messages in messages without end.
#[test]
fn hostile_parts() {
    let check = |text: &str, expect: &str| {
        assert_eq!(named(scan_by(rules(), text.as_bytes(), 30_000)), expect);
    };
    let many: String =
        (0..5000).map(|at| format!("--b\nContent-Type: multipart/x; boundary=c{at}\n\n")).collect();
    check(&format!("Content-Type: multipart/x; boundary=b\n\n{many}"), "depth");
    let named_often: String = (0..500).map(|at| format!(";\n boundary*{at}=b")).collect();
    check(&format!("Content-Type: multipart/x{named_often}\n\n"), "names");
    for encoding in ["7bit", "quoted-printable"] {
        let level = format!("Content-Type: x/y; name=a.eml\nContent-Transfer-Encoding: {encoding}\n\n");
        check(&level.repeat(50_000), "bomb");
    }
    let honest: String = (0..300)
        .map(|at| {
            format!("--b\nContent-Type: multipart/x; boundary=\"c {at}\"\n\n--c {at}\n\ntext\n--c {at}--\n")
        })
        .collect();
    check(&format!("Content-Type: multipart/digest; boundary=b\n\n{honest}--b--\n"), "");
}

#[test]
fn encrypted_and_unpackable() {
    let locked = || File { flags: 1, ..file("b.txt", b"secret") };
    let all = Rules { kinds: Kind::ALL.into(), ..rules() };
    let by = |content: &[u8]| named(scan_by(all.clone(), &message("a.zip", content), 1000));
    assert_eq!(named(scan(&message("a.zip", &zip(&[locked()])))), "");
    assert_eq!(by(&zip(&[locked()])), "b.txt encrypted");
    let exe = File { name: b"b.exe".to_vec(), ..locked() };
    assert_eq!(named(scan(&message("a.zip", &zip(&[exe])))), "b.exe");
    assert_eq!(by(b"Rar!\x1a\x07\x01\0rest"), "a.zip rar");
    assert_eq!(by(&zip(&[file("word/vbaProject.bin", b"x")])), "vbaProject.bin macro");
    let ole = [kinds::OLE, &[0; 5000], kinds::MACROS, &[0; 100]].concat();
    assert_eq!(by(&ole), "a.zip macro");
    assert_eq!(named(scan(&message("a.doc", &ole))), "");
}

/// Each is refused or passed without more being unpacked than may be.
#[test]
fn hostile_archives() {
    let check = |content: &[u8], expect: &str| {
        let found = scan_by(rules(), &message("a.zip", content), 30_000);
        assert_eq!(named(found), expect);
    };
    // A flat bomb.
    let zeros = vec![0; 30_000_000];
    check(&zip(&[file("zeros", &zeros)]), "bomb");
    check(&gzip(&zeros), "bomb");
    // It lies about its size, in both places.
    let lying = File { says: (10, 10), ..file("zeros", &zeros) };
    check(&zip(&[lying]), "bomb");
    // As 42.zip: zips of zips, each small.
    let layer = |inner: &[u8]| {
        let files: Vec<File> = (0..16).map(|at| file(&format!("{at}.zip"), inner)).collect();
        zip(&files)
    };
    let core = zip(&[file("zeros", &zeros[..1_500_000])]);
    check(&layer(&layer(&core)), "bomb");
    // Too deep.
    let deep = (0..9).fold(b"text".to_vec(), |inner, _| zip(&[stored("a.zip", &inner)]));
    check(&deep, "bomb");
    let deep = (0..9).fold(b"text".to_vec(), |inner, _| gzip(&inner));
    check(&deep, "bomb");
    // Files that share their bytes.
    let one = file("a", &zeros[..100_000]);
    let mut shared = header(&one, None);
    shared.extend_from_slice(&one.packed);
    let many: Vec<(usize, &File)> = (0..900).map(|_| (0, &one)).collect();
    shared.extend_from_slice(&table(&many));
    check(&shared, "bomb");
    // A million entries.
    let empty = File { says: (0, 0), ..stored("a", b"") };
    let entry = header(&empty, None);
    check(&entry.repeat(1_000_000), "bomb");
    check(&tar(&[("a", b'0', b"")]).repeat(1_100), "bomb");
    // Cut off anywhere, with lies about lengths: nothing is found, nothing breaks.
    let whole = zip(&[file("b.txt", &zeros[..50_000]), file("c.txt", b"text")]);
    for length in (0..whole.len()).step_by(7) {
        check(&whole[..length], "");
    }
    let huge = File { says: (u32::MAX, 5), ..stored("a", b"text") };
    check(&[header(&huge, None), b"text".to_vec(), header(&file("x.exe", b""), None)].concat(), "x.exe");
    let unknown = File { flags: 8, says: (0, 0), ..stored("a", b"text") };
    check(&zip(&[unknown, file("b.txt", &program())]), "b.txt exe");
    let long = File { name: vec![b'a'; 60_000], ..stored("", b"") };
    check(&zip(&[long]), "names");
    let mut sized = tar(&[("a", b'0', b"")]);
    sized[124..136].fill(0xff);
    check(&sized, "");
}

#[test]
fn mutations() {
    let mut seed = 7_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below.max(1)
    };
    let inner = zip(&[file("b.txt", b"text"), stored("c.gz", &gzip(&tar(&[("d", b'0', b"text")])))]);
    let parts = b"Content-Type: multipart/digest; boundary*0*=''b%63; boundary*1=-; boundary=b\n\n--bc-\n\nFrom x y\n\
                  X: y\rContent-Type: multipart/x; boundary=\"b c\"\nContent-Transfer-Encoding: base64\n\n\
                  LS1iIGMKCiMhL2Jpbi8KLS1iIGMtLQo=\n--b\nContent-Disposition: attachment; filename=a.eml\n\n\
                  Content-Type: text/plain; name=a\nContent-Transfer-Encoding: quoted-printable, base64\n\ntext=20\n";
    let zips = [message("a.zip", &inner), message("a.tgz", &gzip(&tar(&[("a.zip", b'0', &inner)])))];
    for message in zips.into_iter().chain([parts.to_vec()]) {
        for _ in 0..150 {
            let mut bytes = message.clone();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                bytes[at] = b"=AB/\n-\x00P"[random(8)];
            }
            bytes.truncate(random(bytes.len() * 2).max(50).min(bytes.len()));
            fuzz(&bytes);
        }
    }
}
