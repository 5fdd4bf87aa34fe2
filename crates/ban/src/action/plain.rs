//! Commands that need no shell: words, quoted or not, one command a line.
//!
//! Understood are those forms that the stock actions are made of: `for proto in …; do`, `{ A; } || { B; }`, `A || true`,
//! `if [ -n "" ] && …`, output that goes nowhere. Anything else is a shell's: better one shell too many than a command
//! that does something else than it says.

use super::Script;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Whether its failure is none.
    pub may_fail: bool,
}

/// A step of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A command.
    Run(Command),
    /// These where the first fails.
    Unless(Command, Vec<Command>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    End,
    Or,
    Open,
    Close,
}

/// The steps of a script; `None` where it takes a shell.
#[must_use]
pub fn steps(script: &Script) -> Option<Vec<Step>> {
    if !script.variables.is_empty() {
        return None;
    }
    let text = without_tests(&without_loops(&script.text)?)?;
    let mut tokens = tokens(&text)?.into_iter().peekable();
    let mut steps = Vec::new();
    while let Some(token) = tokens.peek() {
        if *token == Token::End {
            tokens.next();
            continue;
        }
        let mut first = command_or_group(&mut tokens)?;
        if tokens.peek() == Some(&Token::Or) {
            tokens.next();
            let otherwise = command_or_group(&mut tokens)?;
            let [test] = <[Command; 1]>::try_from(first).ok()?;
            if matches!(otherwise.as_slice(), [one] if one.words == ["true"]) {
                steps.push(Step::Run(Command { may_fail: true, ..test }));
            } else {
                steps.push(Step::Unless(test, otherwise));
            }
        } else {
            steps.extend(first.drain(..).map(Step::Run));
        }
        if !matches!(tokens.next(), None | Some(Token::End)) {
            return None;
        }
    }
    Some(steps)
}

/// A command, or those of `{ …; }`.
fn command_or_group(tokens: &mut std::iter::Peekable<impl Iterator<Item = Token>>) -> Option<Vec<Command>> {
    if tokens.peek() != Some(&Token::Open) {
        return Some(vec![command(tokens)?]);
    }
    tokens.next();
    let mut commands: Vec<Command> = Vec::new();
    loop {
        match tokens.peek()? {
            Token::End => drop(tokens.next()),
            Token::Close => {
                tokens.next();
                return (!commands.is_empty()).then_some(commands);
            }
            Token::Word(_) => {
                let mut one = command(tokens)?;
                if tokens.peek() == Some(&Token::Or) {
                    tokens.next();
                    one.may_fail = command(tokens)?.words == ["true"];
                    if !one.may_fail {
                        return None;
                    }
                }
                commands.push(one);
                if tokens.peek()? != &Token::End {
                    return None;
                }
            }
            Token::Or | Token::Open => return None,
        }
    }
}

fn command(tokens: &mut std::iter::Peekable<impl Iterator<Item = Token>>) -> Option<Command> {
    let mut words = Vec::new();
    while let Some(Token::Word(word)) = tokens.next_if(|token| matches!(token, Token::Word(_))) {
        words.push(word);
    }
    let program = words.first()?;
    // What a shell does by itself, or would read as something else.
    let is_shells = [
        "if", "then", "else", "fi", "for", "while", "do", "done", "case", "!", "cd", "exit", "export",
        "eval", ".", "[",
    ];
    (!is_shells.contains(&program.as_str()) && !program.contains('='))
        .then_some(Command { words, may_fail: false })
}

/// `for proto in $(echo 'tcp,udp' | sed 's/,/ /g'); do`, a body, `done`, each on lines of its own.
fn without_loops(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(rest) = line.trim().strip_prefix("for ") else {
            out += line;
            out.push('\n');
            continue;
        };
        let (variable, items) = rest.strip_suffix("; do")?.split_once(" in ")?;
        let items = match items.strip_prefix("$(echo '") {
            Some(items) => items.strip_suffix("' | sed 's/,/ /g')")?.replace(',', " "),
            None => items.to_owned(),
        };
        if !items.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_')) {
            return None;
        }
        let body: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "done").collect();
        for item in items.split_whitespace() {
            for line in &body {
                out += &line.replace(&format!("${variable}"), item);
                out.push('\n');
            }
        }
    }
    Some(out)
}

/// `if [ -n "" ] && …`, `then`, …, `else`, …, `fi`, each on lines of its own: what stands behind `else`.
fn without_tests(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line.starts_with("if [ -n \"\" ] && ") {
            lines.by_ref().find(|line| *line == "else")?;
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "fi").collect();
            out += &body.join("\n");
        } else {
            out += line;
        }
        out.push('\n');
    }
    Some(out)
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next()? {
                        end if end == c => break,
                        '$' | '`' | '\\' if c == '"' => return None,
                        inner => word.push(inner),
                    }
                }
            }
            '\\' => match rest.next()? {
                '\n' => {}
                escaped => word.get_or_insert_default().push(escaped),
            },
            ' ' | '\t' | '\n' | ';' => {
                tokens.extend(word.take().map(Token::Word));
                if matches!(c, '\n' | ';') {
                    tokens.push(Token::End);
                }
            }
            '|' if word.is_none() && rest.next_if_eq(&'|').is_some() => tokens.push(Token::Or),
            '{' | '}' if word.is_none() && rest.peek().is_none_or(|c| " \t\n;".contains(*c)) => {
                tokens.push(if c == '{' { Token::Open } else { Token::Close });
            }
            '>' if word.as_deref().is_none_or(|word| word == "2") => {
                word = None;
                let target: String = rest.clone().take_while(|c| !" \t\n;".contains(*c)).collect();
                let skipped = match target.as_str() {
                    "/dev/null" | "&1" => target.len(),
                    "" if rest.clone().collect::<String>().starts_with(" /dev/null") => " /dev/null".len(),
                    _ => return None,
                };
                rest.by_ref().take(skipped).for_each(drop);
            }
            c if c.is_alphanumeric() || "_-./:,+=@%[]^".contains(c) => {
                // A pattern that fits no file stands for itself.
                if c == '[' && word.is_none() && rest.peek().is_none_or(|c| c.is_whitespace()) {
                    return None;
                }
                word.get_or_insert_default().push(c);
            }
            _ => return None,
        }
    }
    tokens.extend(word.map(Token::Word));
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn check(text: &str, expect: Option<&str>) {
        let mut out = String::new();
        let said = |command: &Command| {
            format!("{}{}", if command.may_fail { "?" } else { "" }, command.words.join("|"))
        };
        let steps = steps(&Script { text: text.to_owned(), variables: Vec::new() });
        for step in steps.iter().flatten() {
            match step {
                Step::Run(command) => writeln!(out, "{}", said(command)).unwrap(),
                Step::Unless(test, others) => {
                    let others: Vec<String> = others.iter().map(said).collect();
                    writeln!(out, "{} else {}", said(test), others.join(" ; ")).unwrap();
                }
            }
        }
        assert_eq!(steps.map(|_| out.trim_end().to_owned()).as_deref(), expect, "{text}");
    }

    #[test]
    fn what_needs_no_shell() {
        check(
            "iptables -w -I f2b-x 1 -s 192.0.2.1 -j REJECT",
            Some("iptables|-w|-I|f2b-x|1|-s|192.0.2.1|-j|REJECT"),
        );
        check("a 'b c' \"d e\" f\\;g \\{ x", Some("a|b c|d e|f;g|{|x"));
        check("a\n\n b 1; c >/dev/null 2>&1\nd 2> /dev/null", Some("a\nb|1\nc\nd"));
        check("{ a -C >/dev/null 2>&1; } || { a -N || true; a -A; }", Some("a|-C else ?a|-N ; a|-A"));
        check("a || true", Some("?a"));
        check("{ a; } || { true; b; }", Some("a else true ; b"));
        check(
            "for p in $(echo 'tcp,udp' | sed 's/,/ /g'); do\na -p $p\n{ b $p; } || { c; }\ndone\nz",
            Some("a|-p|tcp\nb|tcp else c\na|-p|udp\nb|udp else c\nz"),
        );
        check("if [ -n \"\" ] && x y \"\"\nthen\n a\nelse\n ufw \"by me\"\nfi\nb", Some("ufw|by me\nb"));
        check("ss -K dst \"[192.0.2.1]\"", Some("ss|-K|dst|[192.0.2.1]"));
    }

    #[test]
    fn what_takes_a_shell() {
        for text in [
            "a | b",
            "a && b",
            "a > /tmp/x",
            "a $HOME",
            "a `b`",
            "a \"$b\"",
            "a $(b)",
            "a &",
            "a *",
            "a ~",
            "(a)",
            "a 'b",
            "if x",
            "[ a ]",
            "X=1 a",
            "a <b",
            "a # b",
            "for p in *; do\na\ndone",
            "for p in x; do\na $q\ndone",
            "cd /x",
            "a || b || c",
            "{ a",
        ] {
            check(text, None);
        }
    }
}
