//! Archives of which names are seen: RAR, 7z, cabinets, Outlook's, OneNote's; images of disks; files that are two things.

use super::tests::{file, gzip, message, named, program, rules, scan, scan_by, stored, tar, zip};
use super::*;

fn check(name: &str, content: &[u8], expect: &str) {
    assert_eq!(named(scan(&message(name, content))), expect, "{name}");
}

/// With all kinds refused.
fn strictly(name: &str, content: &[u8], expect: &str) {
    let all = Rules { kinds: Kind::ALL.into(), ..rules() };
    assert_eq!(named(scan_by(all, &message(name, content), 997)), expect, "{name}");
}

/// A header of version 4; its checksum is nobody's concern.
fn four(kind: u8, flags: u16, fields: &[u8]) -> Vec<u8> {
    let size = u16::try_from(7 + fields.len()).unwrap();
    [&[0, 0, kind], &flags.to_le_bytes()[..], &size.to_le_bytes(), fields].concat()
}

fn file_four(name: &[u8], (flags, method): (u16, u8), content: &[u8]) -> Vec<u8> {
    let packed = u32::try_from(content.len()).unwrap().to_le_bytes();
    let length = u16::try_from(name.len()).unwrap().to_le_bytes();
    let fields = [&packed, &[0; 14][..], &[method], &length, &[0; 4], name].concat();
    [four(0x74, 0x8000 | flags, &fields), content.to_vec()].concat()
}

fn rar_4(flags: u16, files: &[Vec<u8>]) -> Vec<u8> {
    let start = [b"Rar!\x1a\x07\0".to_vec(), four(0x73, flags, &[0; 6])].concat();
    [start, files.concat(), four(0x7b, 0x4000, &[])].concat()
}

/// A number of version 5.
fn number(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
    out
}

fn five(kind: u64, fields: &[u8], extra: &[u8], content: &[u8]) -> Vec<u8> {
    let flags = u64::from(!extra.is_empty()) | if content.is_empty() { 0 } else { 2 };
    let mut header = [number(kind), number(flags)].concat();
    if !extra.is_empty() {
        header.extend(number(extra.len() as u64));
    }
    if !content.is_empty() {
        header.extend(number(content.len() as u64));
    }
    header.extend_from_slice(fields);
    header.extend_from_slice(extra);
    [&[0; 4], number(header.len() as u64).as_slice(), &header, content].concat()
}

fn file_five(name: &str, method: u64, extra: &[u8], content: &[u8]) -> Vec<u8> {
    let fields = [
        number(2 | 4),
        number(content.len() as u64),
        number(32),
        vec![0; 8],
        number(method << 7),
        number(1),
        number(name.len() as u64),
        name.into(),
    ];
    five(2, &fields.concat(), extra, content)
}

fn rar_5(blocks: &[Vec<u8>]) -> Vec<u8> {
    [b"Rar!\x1a\x07\x01\0".to_vec(), five(1, &[0], b"", b""), blocks.concat(), five(5, &[0], b"", b"")]
        .concat()
}

#[test]
fn rar_names_and_stored_contents() {
    let text = b"nothing but text\n".repeat(200);
    let (packed, kept) = ((0, 0x33), (0, 0x30));
    check("a.rar", &rar_4(0, &[file_four(b"b.txt", packed, &text), file_four(b"c.txt", kept, &text)]), "");
    check(
        "a.rar",
        &rar_4(0, &[file_four(b"b.txt", packed, &text), file_four(b"d\\c.exe", packed, &text)]),
        "c.exe",
    );
    check(
        "a.rar",
        &rar_4(0, &[file_four(b"b.txt", packed, b""), file_four(b"c.txt", kept, &program())]),
        "c.txt exe",
    );
    check("a.rar", &rar_4(0, &[file_four(b"c.txt", packed, &program())]), "");
    check("a.rar", &rar_4(0, &[file_four(b"b.zip", kept, &zip(&[file("e.js", b"")]))]), "e.js");
    // The plain name is one thing, the one in Unicode another: letter by letter, as a run of the plain one, and as a run
    // with something added to each letter.
    let wide = |name: &[u8]| rar_4(0, &[file_four(name, (0x200, 0x33), &text)]);
    check("a.rar", &wide(b"invoice.pdf\0\0\0invo\0ice.\0exe"), "invoice.exe");
    check("a.rar", &wide(b"a.pdf\0\0\xc0\0exe"), "a.exe");
    check("a.rar", &wide(b"`-pdf\0\0\xc0\x80\x01exe"), "a.exe");
    check("a.rar", &wide(b"a.pdf\0\0\0a.tx\0t"), "");
    check("a.rar", &rar_4(0, &[file_four(b"v.lnk", (4, 0x33), &text)]), "v.lnk");
    strictly("a.dat", &rar_4(0, &[]), "a.dat rar");
    check("a.rar", &rar_5(&[file_five("b.txt", 3, b"", &text), file_five("c.txt", 0, b"", &text)]), "");
    check(
        "a.rar",
        &rar_5(&[file_five("b.txt", 3, b"", &text), file_five("d/c.hta", 3, b"", &text)]),
        "c.hta",
    );
    check(
        "a.rar",
        &rar_5(&[file_five("b.txt", 3, b"", b""), file_five("c.txt", 0, b"", &program())]),
        "c.txt exe",
    );
    check("a.rar", &rar_5(&[file_five("x", 0, b"", &rar_5(&[file_five("y.vbs", 3, b"", b"")]))]), "y.vbs");
    // Something stands before it, and the name says what opens it.
    let late = [vec![b'x'; 5000], rar_5(&[file_five("b.exe", 3, b"", b"")])].concat();
    check("a.rar", &late, "b.exe");
    check("a.txt", &late, "");
}

#[test]
fn archives_that_hide_their_lists() {
    let only = |kinds: &[Kind]| Rules { kinds: kinds.iter().copied().collect(), ..rules() };
    let found = |content: &[u8], kind: Kind| named(scan_by(only(&[kind]), &message("a.x", content), 500));
    let locked = rar_4(0x80, &[b"whatever follows".to_vec()]);
    assert_eq!(found(&locked, Kind::Encrypted), " encrypted");
    assert_eq!(found(&locked, Kind::Unlisted), " unlisted");
    assert_eq!(found(&rar_5(&[five(4, &[0, 0, 15], b"", b"")]), Kind::Unlisted), " unlisted");
    let one = rar_5(&[file_five("b.txt", 3, &[2, 1, 0], b"secret")]);
    assert_eq!(found(&one, Kind::Encrypted), "b.txt encrypted");
    assert_eq!(found(&one, Kind::Unlisted), "");
    assert_eq!(found(&seven_zip(&[0x17, 6, 0]), Kind::Unlisted), " unlisted");
    assert_eq!(found(&seven_zip(&listed(&["b.txt"])), Kind::Unlisted), "");
    let whole = seven_zip(&listed(&["b.txt"]));
    assert_eq!(found(&whole[..whole.len() - 9], Kind::Unlisted), " unlisted");
}

fn seven_zip(list: &[u8]) -> Vec<u8> {
    let packed = [7; 900];
    let (before, length) = ((packed.len() as u64).to_le_bytes(), (list.len() as u64).to_le_bytes());
    [b"7z\xbc\xaf\x27\x1c\0\x04", &[0; 4][..], &before, &length, &[0; 4], &packed, list].concat()
}

/// A list of files, with less around the names than there really is.
fn listed(names: &[&str]) -> Vec<u8> {
    let text: Vec<u8> =
        names.iter().flat_map(|name| name.encode_utf16().chain([0])).flat_map(u16::to_le_bytes).collect();
    let length = u8::try_from(text.len() + 1).unwrap();
    [&[1, 4, 6, 0, 1, 9, 0x80, 0x84, 0, 5, 2, 0x11, length, 0], text.as_slice(), &[0, 0]].concat()
}

#[test]
fn seven_zip_names() {
    check("a.7z", &seven_zip(&listed(&["b.txt", "c.pdf"])), "");
    check("a.7z", &seven_zip(&listed(&["b.txt", "d/c.pdf.SCR"])), "c.pdf.SCR");
    let moved = [&[1, 4], listed(&["b.txt", "ü.js"]).get(1..).unwrap()].concat();
    check("a.dat", &seven_zip(&moved), ".js");
    strictly("a.dat", &seven_zip(&listed(&[])), "a.dat 7z");
}

fn cabinet(names: &[&str]) -> Vec<u8> {
    let mut out = [b"MSCF".as_slice(), &[0; 12], &44_u32.to_le_bytes(), &[0; 4], &[3, 1, 1, 0]].concat();
    out.extend_from_slice(&u16::try_from(names.len()).unwrap().to_le_bytes());
    out.resize(44, 0);
    for name in names {
        out.extend_from_slice(&[9; 16]);
        out.extend_from_slice(name.as_bytes());
        out.push(0);
    }
    out.extend_from_slice(&[7; 3000]);
    out
}

#[test]
fn cabinet_names() {
    check("a.dat", &cabinet(&["b.txt", "c.txt"]), "");
    check("a.dat", &cabinet(&["b.txt", "d\\c.dll"]), "c.dll");
    check("a.dat", &[cabinet(&["b.txt"]), zip(&[file("c.com", b"")])].concat(), "c.com");
    strictly("a.dat", &cabinet(&[]), "a.dat cab");
}

fn attribute(id: u32, value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap().to_le_bytes();
    [&[2], &id.to_le_bytes()[..], &length, value, &[0, 0]].concat()
}

fn tnef(attributes: &[Vec<u8>]) -> Vec<u8> {
    [&[0x78, 0x9f, 0x3e, 0x22, 1, 0], attributes.concat().as_slice()].concat()
}

#[test]
fn what_outlook_wraps() {
    let text = b"nothing but text\n".repeat(200);
    let titled = |name: &str| attribute(0x0001_8010, format!("{name}\0").as_bytes());
    let data = |content: &[u8]| attribute(0x0006_800f, content);
    check("winmail.dat", &tnef(&[titled("b.txt"), data(&text)]), "");
    check("winmail.dat", &tnef(&[titled("b.txt"), data(&text), titled("c.exe"), data(&text)]), "c.exe");
    check("winmail.dat", &tnef(&[titled("b.txt"), data(&program())]), "b.txt exe");
    check("winmail.dat", &tnef(&[titled("b.zip"), data(&zip(&[file("x.js", b"")]))]), "x.js");
    let long: Vec<u8> = "invoice.pdf.js\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let property = |kind: u8, value: &[u8]| {
        let length = u32::try_from(value.len()).unwrap().to_le_bytes();
        [&[0x1e, 0, 1, 0x37, 0x37, kind, 0, 7, 0x37, 1, 0, 0, 0], &length[..], value].concat()
    };
    let named = |value: &[u8]| tnef(&[titled("INVOIC~1.TXT"), attribute(0x0006_9005, value)]);
    check("winmail.dat", &named(&property(0x1f, &long)), "invoice.pdf.js");
    check("winmail.dat", &named(&property(0x1e, b"x.vbe\0")), "x.vbe");
    check("winmail.dat", &named(&property(0x1e, b"x.txt\0")), "");
    check("winmail.dat", &named(&property(0x1e, &[b'x'; 5000])), "names");
}

fn notebook(files: &[&[u8]]) -> Vec<u8> {
    let mut out = notebook::MARKS[0].to_vec();
    for content in files {
        out.extend_from_slice(&[0x55; 300]);
        out.extend_from_slice(b"\xe7\x16\xe3\xbd\x65\x26\x11\x45\xa4\xc4\x8d\x4d\x0b\x7a\x9e\xac");
        out.extend_from_slice(&(content.len() as u64).to_le_bytes());
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(content);
    }
    out.extend_from_slice(&[0x55; 300]);
    out
}

#[test]
fn what_is_embedded_in_a_notebook() {
    let picture = [b"\x89PNG\r\n\x1a\n".as_slice(), &[9; 3000]].concat();
    check("a.one", &notebook(&[]), "");
    check("a.one", &notebook(&[&picture, &picture]), "");
    check("a.one", &notebook(&[&picture, &program()]), " exe");
    check("a.one", &notebook(&[&picture, b"<script>a hypertext application</script>"]), " onenote");
    check("a.one", &notebook(&[&picture, &zip(&[stored("x.wsf", b"")])]), "x.wsf");
    check("a.one", &notebook(&[&picture, &zip(&[stored("word/document.xml", b"")])]), "");
    let cut = notebook(&[b"rem a batch file"]);
    check("a.one", &cut[..cut.len() - 310], " onenote");
}

#[test]
fn types_by_their_first_bytes() {
    let disk = |mark: &[u8]| [vec![0; 32_769], mark.to_vec(), vec![0; 3000]].concat();
    check("a.dat", &disk(b"CD001"), "a.dat image");
    check("a.dat", &disk(b"BEA01"), "a.dat image");
    check("a.dat", &disk(b"CD002"), "");
    check("a.dat", &[b"conectix".as_slice(), &[0; 600]].concat(), "a.dat image");
    check("a.dat", &[b"vhdxfile".as_slice(), &[0; 600]].concat(), "a.dat image");
    strictly("a.x", b"\x1f\x62-lh5-rest of it", "a.x lzh");
    strictly("a.x", b"\x60\xea\x28\x00rest of it", "a.x arj");
    strictly("a.x", b"\0\0\0\0\0\0\0**ACE**rest of it", "a.x ace");
    strictly("a.x", b"BZh91AY&SYrest of it", "a.x bzip2");
    strictly("a.x", b"\xfd7zXZ\0rest of it", "a.x xz");
    strictly("a.x", b"\x28\xb5\x2f\xfdrest of it", "a.x zstd");
    strictly("a.x", b"BZh is how this text begins", "");
}

/// What opens it goes by the name, or by the end of the file: nothing hides behind a beginning.
#[test]
fn files_that_are_two_things() {
    let hidden = zip(&[file("x.exe", b"")]);
    let text = b"nothing but text\n".repeat(100);
    check("a.zip", &[tar(&[("b.txt", b'0', &text)]), hidden.clone()].concat(), "x.exe");
    check("a.zip", &[gzip(&text), hidden.clone()].concat(), "x.exe");
    check("a.zip", &[rar_5(&[]), hidden.clone()].concat(), "x.exe");
    check("a.zip", &[seven_zip(&listed(&[])), hidden].concat(), "x.exe");
    // An archive within is counted once where the name says what opens it, and twice where it says something else.
    let many = zip(&(0..600).map(|at| stored(&format!("{at}.txt"), b"x")).collect::<Vec<_>>());
    let wrapped = tnef(&[attribute(0x0001_8010, b"b.zip\0"), attribute(0x0006_800f, &many)]);
    let counted = |name: &str| {
        let limits = Limits { entries: 1300, ..rules().limits };
        named(scan_by(Rules { limits, ..rules() }, &message(name, &wrapped), 4096))
    };
    assert_eq!((counted("winmail.dat").as_str(), counted("a.zip").as_str()), ("", "bomb"));
    let inner = rar_4(0, &[file_four(b"y.scr", (0, 0x33), b"")]);
    check("a.rar", &[gzip(&text), inner].concat(), "y.scr");
}

/// Lies about lengths, cuts, and bytes changed at random: nothing breaks, however the file is cut into chunks.
#[test]
fn mutations_of_archives() {
    let mut seed = 11_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below.max(1)
    };
    let text = b"nothing but text\n".repeat(20);
    let files = [
        rar_4(0, &[file_four(b"b.txt\0\0\0abc", (0x200, 0x33), &text), file_four(b"c", (0, 0x30), &text)]),
        rar_5(&[file_five("b.txt", 3, &[2, 1, 0], &text), file_five("c", 0, b"", &text)]),
        seven_zip(&listed(&["b.txt", "c.txt"])),
        cabinet(&["b.txt", "c.txt"]),
        tnef(&[
            attribute(0x0001_8010, b"b.txt\0"),
            attribute(0x0006_800f, &text),
            attribute(0x0006_9005, &text),
        ]),
        notebook(&[&text, &text]),
    ];
    for file in files {
        for _ in 0..60 {
            let mut bytes = file.clone();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                bytes[at] = [0, 0xff, 0x80, 1, 0x37, b'.'][random(6)];
            }
            bytes.truncate(random(bytes.len() * 2).clamp(20, bytes.len()));
            fuzz_file(&bytes);
        }
    }
}
