//! What a file is by its first bytes, whatever it is called.
//!
//! Only what a click runs, or what hides such things from a reader. Kinds are what
//! `komainu_dangerous_attachment_contents` names.

/// Bytes that are looked at.
pub(super) const HEAD_BYTES: usize = 1024;

/// A kind of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Windows' and DOS's programs.
    Exe,
    /// Programs of Linux and most other Unixes.
    Elf,
    /// macOS's programs, and Java's classes, which begin alike.
    MachO,
    /// Windows' shortcuts.
    Lnk,
    /// `#!`, scripts that Windows encodes.
    Script,
    /// Compiled help.
    Chm,
    /// Images of disks, which a click mounts, and what is in them bears no mark of the internet.
    Image,
    /// OneNote's notebooks with a file in them that is neither picture nor document.
    OneNote,
    /// Windows' cabinets.
    Cab,
    /// Office files with macros.
    Macro,
    /// Archives of which only the names are seen.
    Rar,
    /// The same.
    SevenZip,
    /// Archives whose list of names is packed or encrypted.
    Unlisted,
    /// Archives that nobody honest makes any more.
    Ace,
    /// The same.
    Arj,
    /// The same.
    Lzh,
    /// Packed in ways that aren't looked into.
    Bzip2,
    /// The same.
    Xz,
    /// The same.
    Zstd,
    /// Archives whose entries want a password.
    Encrypted,
}

impl Kind {
    /// All.
    pub const ALL: [Kind; 20] = [
        Kind::Exe,
        Kind::Elf,
        Kind::MachO,
        Kind::Lnk,
        Kind::Script,
        Kind::Chm,
        Kind::Image,
        Kind::OneNote,
        Kind::Cab,
        Kind::Macro,
        Kind::Rar,
        Kind::SevenZip,
        Kind::Unlisted,
        Kind::Ace,
        Kind::Arj,
        Kind::Lzh,
        Kind::Bzip2,
        Kind::Xz,
        Kind::Zstd,
        Kind::Encrypted,
    ];

    /// The word in main.cf.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Exe => "exe",
            Kind::Elf => "elf",
            Kind::MachO => "macho",
            Kind::Lnk => "lnk",
            Kind::Script => "script",
            Kind::Chm => "chm",
            Kind::Image => "image",
            Kind::OneNote => "onenote",
            Kind::Cab => "cab",
            Kind::Macro => "macro",
            Kind::Rar => "rar",
            Kind::SevenZip => "7z",
            Kind::Unlisted => "unlisted",
            Kind::Ace => "ace",
            Kind::Arj => "arj",
            Kind::Lzh => "lzh",
            Kind::Bzip2 => "bzip2",
            Kind::Xz => "xz",
            Kind::Zstd => "zstd",
            Kind::Encrypted => "encrypted",
        }
    }

    /// The words for a reply.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Kind::Exe | Kind::Elf | Kind::MachO => "a program",
            Kind::Lnk => "a shortcut",
            Kind::Script => "a script",
            Kind::Chm => "a compiled help file",
            Kind::Image => "an image of a disk",
            Kind::OneNote => "a notebook with a file in it",
            Kind::Cab => "a cabinet",
            Kind::Macro => "a document with macros",
            Kind::Unlisted => "an archive that hides what is in it",
            Kind::Rar
            | Kind::SevenZip
            | Kind::Ace
            | Kind::Arj
            | Kind::Lzh
            | Kind::Bzip2
            | Kind::Xz
            | Kind::Zstd => "an archive that can't be looked into",
            Kind::Encrypted => "an encrypted archive",
        }
    }

    /// What a word of main.cf means.
    #[must_use]
    pub fn of(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word().eq_ignore_ascii_case(word))
    }
}

/// What the first bytes of a file say.
pub(super) fn kind(head: &[u8]) -> Option<Kind> {
    Some(match head {
        // Text may begin so, too.
        [b'M', b'Z', ..] if is_program(head) => Kind::Exe,
        [0x7f, b'E', b'L', b'F', ..] => Kind::Elf,
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] => Kind::MachO,
        [0xca, 0xfe, 0xba, 0xbe, ..] => Kind::MachO,
        [0x4c, 0, 0, 0, 0x01, 0x14, 0x02, 0, ..] => Kind::Lnk,
        [b'#', b'!', ..] if is_script(head) => Kind::Script,
        [b'#', b'@', b'~', b'^', ..] => Kind::Script,
        [b'I', b'T', b'S', b'F', _, 0, 0, 0, ..] => Kind::Chm,
        [b'M', b'S', b'C', b'F', 0, 0, 0, 0, ..] => Kind::Cab,
        [b'R', b'a', b'r', b'!', 0x1a, 0x07, ..] => Kind::Rar,
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Kind::SevenZip,
        [b'c', b'o', b'n', b'e', b'c', b't', b'i', b'x', ..] => Kind::Image,
        [b'v', b'h', b'd', b'x', b'f', b'i', b'l', b'e', ..] => Kind::Image,
        [b'M', b'S', b'W', b'I', b'M', 0, 0, 0, ..] => Kind::Image,
        [_, _, b'-', b'l', b'h' | b'z', _, b'-', ..] => Kind::Lzh,
        [0x60, 0xea, low, high, ..] if (30..=2600).contains(&u16::from_le_bytes([*low, *high])) => Kind::Arj,
        [_, _, _, _, _, _, _, b'*', b'*', b'A', b'C', b'E', b'*', b'*', ..] => Kind::Ace,
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => Kind::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Kind::Xz,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Kind::Zstd,
        _ => return None,
    })
}

/// Where an optical disk says so, behind what it may be started from.
pub(super) const DISK_AT: std::ops::Range<u64> = 32_769..32_774;

/// Whether these bytes there are one's: ISO 9660, UDF.
pub(super) fn is_disk(mark: &[u8]) -> bool {
    [&b"CD001"[..], b"BEA01", b"NSR02", b"NSR03", b"CDW02"].contains(&mark)
}

/// Behind `MZ` come numbers.
fn is_program(head: &[u8]) -> bool {
    let numbers = head.get(2..head.len().min(64)).unwrap_or_default();
    numbers.contains(&0)
        || head.get(..head.len().min(256)).is_some_and(|head| memchr::memmem::find(head, b"PE\0\0").is_some())
}

/// `#! /bin/sh`: the path of a program.
fn is_script(head: &[u8]) -> bool {
    head.get(2..).unwrap_or_default().trim_ascii_start().first() == Some(&b'/')
}

/// Office's old container.
pub(super) const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// What a container's folder calls its macros: `_VBA_PROJECT` in UTF-16.
pub(super) const MACROS: &[u8] = b"_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T\0";

/// Kinds that are dangerous where nobody says otherwise.
pub const CONTENTS: &str = "exe elf macho lnk script chm image onenote";

/// Extensions that are dangerous where nobody says otherwise: what Gmail and Outlook take from nobody, as far as a click
/// runs it. Left out is what Outlook blocks though honest mail has it: certificates, databases, source code of Unix. Added is what
/// neither takes note of and attackers send all the same: queries and links of Excel's, images of disks, installers.
pub const EXTENSIONS: &str = "ade adp apk app appcontent-ms appinstaller application appref-ms appx appxbundle bas bat bgi cab chm cmd cnt com \
    cpl desktop diagcab diagcfg diagpkg dll dmg ex ex_ exe fxp gadget grp hlp hpj hta img inf ins iqy iso \
    isp its jar jnlp js jse ksh lib library-ms lnk mad maf mag mam mar mas mat mau mav maw mcf mda mde \
    mdt mdw mdz mjs msc msh msh1 msh1xml msh2 msh2xml mshxml msi msix msixbundle msp mst msu nsh ops osd \
    pcd pif pkg plg ppkg prf prg printerexport ps1 ps1xml ps2 ps2xml psc1 psc2 psd1 psdm1 pyz pyzw rdp reg \
    scf scr sct search-ms searchconnector-ms settingcontent-ms shb shs slk sys theme themepack udl url vb vbe \
    vbp vbs vhd vhdx vsmacros vsw vxd webpnp website wim ws wsb wsc wsf wsh xbap xll xnk";
