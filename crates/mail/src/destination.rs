//! Reads where mail is to go: the right-hand side of aliases(5), a line of `.forward`, of an `:include:` file.
//!
//! `joe, "|command with words", /file, :include:/list, \joe, Ann <ann@example.org> (a comment)`. White space parts
//! destinations as a comma does, and nothing is refused: what can't be understood is an address that nobody has, and
//! its mail comes back. Nothing is looked up, completed or opened here.

use crate::Address;

/// One destination, as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// An address, in internal form and not completed.
    Address(Address),
    /// `\user`: the user's mailbox, whatever aliases and `.forward` files say.
    Bypass(Address),
    /// `|command`.
    Command(String),
    /// `/file`, or `/folder/`.
    File(String),
    /// `:include:/file`.
    Include(String),
}

impl Destination {
    /// In a user's own file `~/box` is a file in the user's home.
    #[must_use]
    pub fn at_home(self, home: &str) -> Destination {
        let path = match &self {
            Destination::Address(address) => address.as_str().strip_prefix("~/"),
            _ => None,
        };
        let file = path.map(|path| Destination::File(format!("{home}/{path}")));
        file.unwrap_or(self)
    }

    fn of(word: &str) -> Destination {
        const INCLUDE: &str = ":include:";
        if let Some(command) = word.strip_prefix('|') {
            return Destination::Command(command.to_owned());
        }
        if word.starts_with('/') {
            return Destination::File(word.to_owned());
        }
        if word.get(..INCLUDE.len()).is_some_and(|start| start.eq_ignore_ascii_case(INCLUDE)) {
            return Destination::Include(word.get(INCLUDE.len()..).unwrap_or_default().to_owned());
        }
        match word.strip_prefix('\\') {
            Some(user) => Destination::Bypass(Address::from_internal(user)),
            None => Destination::Address(Address::from_internal(word)),
        }
    }
}

/// The destinations in one line or value, in order.
#[must_use]
pub fn destinations(text: &str) -> Vec<Destination> {
    let mut reader = Reader::default();
    let last_end = last_semicolon(text);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => reader.quoted(&mut rest),
            '(' => skip_comment(&mut rest),
            '<' => {
                // What came before is a name.
                reader.word.clear();
                reader.pending.clear();
                reader.in_word = false;
                reader.bracketed(&mut rest);
            }
            ',' => reader.end_of_item(),
            ':' if last_end.is_some_and(|at| at >= text.len() - rest.as_str().len())
                && reader.has_group_name(rest.as_str()) =>
            {
                // What came before is the group's name.
                reader.word.clear();
                reader.pending.clear();
                (reader.in_word, reader.in_group) = (false, true);
            }
            ';' if reader.in_group => {
                reader.end_of_item();
                reader.in_group = false;
            }
            c if c.is_whitespace() => reader.end_of_word(),
            '\\' => {
                if !reader.in_word {
                    reader.push('\\');
                }
                if let Some(next) = rest.next() {
                    reader.push(next);
                }
            }
            c => reader.push(c),
        }
    }
    reader.end_of_item();
    reader.found
}

/// Where the last `;` is that is in no quotes.
fn last_semicolon(text: &str) -> Option<usize> {
    let (mut in_quotes, mut is_escaped, mut last) = (false, false, None);
    for (at, byte) in text.bytes().enumerate() {
        let was_escaped = is_escaped;
        is_escaped = byte == b'\\' && !was_escaped;
        match byte {
            b'"' if !was_escaped => in_quotes = !in_quotes,
            b';' if !was_escaped && !in_quotes => last = Some(at),
            _ => {}
        }
    }
    last
}

/// The destinations in a file: line by line, without comment lines. Bytes that are no UTF-8 are replaced.
#[must_use]
pub fn destinations_in_file(bytes: &[u8]) -> Vec<Destination> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().filter(|line| !line.starts_with('#')).flat_map(destinations).collect()
}

/// The transport and the nexthop of `transport:nexthop`; either may be empty, and the colon missing.
#[must_use]
pub fn transport_and_nexthop(text: &str) -> (&str, &str) {
    text.split_once(':').unwrap_or((text, ""))
}

#[derive(Default)]
struct Reader {
    found: Vec<Destination>,
    /// Words since the last comma: a name, where a `<` follows.
    pending: Vec<String>,
    word: String,
    in_word: bool,
    /// Behind `name:`, before its `;`.
    in_group: bool,
}

impl Reader {
    fn push(&mut self, c: char) {
        self.word.push(c);
        self.in_word = true;
    }

    fn quoted(&mut self, rest: &mut std::str::Chars<'_>) {
        self.in_word = true;
        while let Some(c) = rest.next() {
            match c {
                '"' => return,
                '\\' => self.word.extend(rest.next()),
                c => self.word.push(c),
            }
        }
    }

    fn bracketed(&mut self, rest: &mut std::str::Chars<'_>) {
        while let Some(c) = rest.next() {
            match c {
                '>' => break,
                '"' => self.quoted(rest),
                '(' => skip_comment(rest),
                '\\' => self.word.extend(rest.next()),
                c if c.is_whitespace() => {}
                c => self.word.push(c),
            }
        }
        let word = std::mem::take(&mut self.word);
        self.in_word = false;
        // `@a,@b:user@c`: the route is nobody's business.
        let address = match word.split_once(':') {
            Some((_, address)) if word.starts_with('@') => address.to_owned(),
            _ => word,
        };
        if !address.is_empty() {
            self.found.push(Destination::of(&address));
        }
    }

    /// Whether what stands before a `:` can be a group's name; a `;` behind makes it one.
    fn has_group_name(&self, rest: &str) -> bool {
        let is_name = match self.in_word {
            true => !self.word.starts_with([':', '|', '/', '\\']),
            false => !self.pending.is_empty() && !rest.starts_with("include:"),
        };
        is_name && !self.in_group
    }

    fn end_of_word(&mut self) {
        if self.in_word {
            self.in_word = false;
            self.pending.push(std::mem::take(&mut self.word));
        }
    }

    fn end_of_item(&mut self) {
        self.end_of_word();
        let words = std::mem::take(&mut self.pending);
        self.found.extend(words.iter().filter(|word| !word.is_empty()).map(|word| Destination::of(word)));
    }
}

fn skip_comment(rest: &mut std::str::Chars<'_>) {
    let mut depth = 1_usize;
    while let Some(c) = rest.next() {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            '\\' => drop(rest.next()),
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

/// For fuzzing: anything can be read, and gives no more destinations than it has bytes.
pub fn fuzz(bytes: &[u8]) {
    assert!(destinations_in_file(bytes).len() <= bytes.len(), "a destination is a byte at least");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a:` an address, `b:` past aliases, `c:` a command, `f:` a file, `i:` a list.
    fn said(found: Vec<Destination>) -> Vec<String> {
        let one = |destination| match destination {
            Destination::Address(address) => format!("a:{}", address.as_str()),
            Destination::Bypass(address) => format!("b:{}", address.as_str()),
            Destination::Command(command) => format!("c:{command}"),
            Destination::File(file) => format!("f:{file}"),
            Destination::Include(file) => format!("i:{file}"),
        };
        found.into_iter().map(one).collect()
    }

    #[test]
    fn what_stands_behind_an_alias() {
        let check = |text: &str, expect: &[&str]| assert_eq!(said(destinations(text)), expect, "{text}");
        check("joe", &["a:joe"]);
        check(
            "joe, jim@far.test , Joe+Ext@example.com",
            &["a:joe", "a:jim@far.test", "a:Joe+Ext@example.com"],
        );
        check("joe jim", &["a:joe", "a:jim"]);
        check("\"|cat >/tmp/x; echo hi\"", &["c:cat >/tmp/x; echo hi"]);
        check("|exit 0", &["c:exit", "a:0"]);
        check("\"|echo \\\"q\\\"; exit 1\"", &["c:echo \"q\"; exit 1"]);
        check("|\"IFS=' ' && exit 0\"", &["c:IFS=' ' && exit 0"]);
        check("/var/mail/x, \"/a b/c\", /folder/", &["f:/var/mail/x", "f:/a b/c", "f:/folder/"]);
        check(":include:/etc/list", &["i:/etc/list"]);
        check("\":INCLUDE:/etc/a list\"", &["i:/etc/a list"]);
        check("\\joe, \"\\\\ann\"", &["b:joe", "b:ann"]);
        check("joe (the man), \"Ann Smith\" <ann@example.com>", &["a:joe", "a:ann@example.com"]);
        check("Ann Smith <ann@example.com>, bob", &["a:ann@example.com", "a:bob"]);
        check("<@a.test,@b.test:c@d.test>", &["a:c@d.test"]);
        check("\"foo bar", &["a:foo bar"]);
        check("joe.., @foo", &["a:joe..", "a:@foo"]);
        check("a (b (c) \\) d) e", &["a:a", "a:e"]);
        check(" , ,\t", &[]);
        check("", &[]);
        check("\\", &["b:"]);
        check("group: joe, jim;", &["a:joe", "a:jim"]);
        check("\"A b\" c : joe; ann, group:;", &["a:joe", "a:ann"]);
        check("group: joe", &["a:group:", "a:joe"]);
        check("a:b, \"|x; y\", :include:/z", &["a:a:b", "c:x; y", "i:/z"]);
        check(":include:/a;b", &["i:/a;b"]);
        check("<", &[]);
    }

    #[test]
    fn files_at_home() {
        let at_home =
            |text: &str| said(destinations(text).into_iter().map(|one| one.at_home("/home/joe")).collect());
        assert_eq!(
            at_home("~/x, \"~/a b\", ~joe, \\~/x"),
            ["f:/home/joe/x", "f:/home/joe/a b", "a:~joe", "b:~/x"]
        );
    }

    #[test]
    fn files_have_comment_lines() {
        let text = b"# nobody, really\njoe\n\n  \"|true\" \nann, # x\n";
        assert_eq!(said(destinations_in_file(text)), ["a:joe", "c:true", "a:ann", "a:#", "a:x"]);
    }

    #[test]
    fn anything_can_be_read() {
        let seed: &[u8] = b"a, \"|b \\\" c\" <d@e> (f) \\g :include:/h\n# x\n";
        let mut state = 7_u32;
        for _ in 0..2_000 {
            let mut bytes = seed.to_vec();
            for _ in 0..6 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (state >> 8) as usize % bytes.len();
                bytes[at] = (state >> 24) as u8;
            }
            fuzz(&bytes);
        }
    }
}
