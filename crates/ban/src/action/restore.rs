//! Many commands for a packet filter as the input of one: `iptables-restore`, `ipset restore`.

/// The program that takes them, and its input; `None` where they can't be joined.
#[must_use]
pub fn joined(commands: &[Vec<String>]) -> Option<(Vec<String>, String)> {
    let program = commands.first()?.first()?;
    let is_plain = |word: &String| {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || "_-./:,".contains(c);
        !word.is_empty() && word.chars().all(is_fit)
    };
    if commands.len() < 2
        || !commands.iter().all(|words| words.first() == Some(program) && words.iter().all(is_plain))
    {
        return None;
    }
    let arguments = commands.iter().map(|words| words.get(1..).unwrap_or_default());
    match program.rsplit('/').next()? {
        "ipset" => {
            let is_exist =
                |words: &[String]| words.first().is_some_and(|word| word == "-exist" || word == "-!");
            if !arguments.clone().all(is_exist) {
                return None;
            }
            let lines = arguments.map(|words| words.get(1..).unwrap_or_default().join(" ") + "\n");
            Some((vec![program.clone(), "-exist".to_owned(), "restore".to_owned()], lines.collect()))
        }
        "iptables" | "ip6tables" => {
            let mut input = String::from("*filter\n");
            for words in arguments {
                let words =
                    if words.first().is_some_and(|word| word == "-w") { words.get(1..)? } else { words };
                // A wait in seconds, another table: not these.
                if !words.first()?.starts_with('-')
                    || words.iter().any(|word| word == "-t" || word == "--table")
                {
                    return None;
                }
                input += &words.join(" ");
                input.push('\n');
            }
            input += "COMMIT\n";
            Some((vec![format!("{program}-restore"), "-w".to_owned(), "--noflush".to_owned()], input))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_joined() {
        let check = |commands: &[&str], expect: Option<(&str, &str)>| {
            let words = |command: &&str| command.split('|').map(str::to_owned).collect::<Vec<_>>();
            let commands: Vec<Vec<String>> = commands.iter().map(words).collect();
            let joined = joined(&commands).map(|(program, input)| (program.join(" "), input));
            assert_eq!(
                joined,
                expect.map(|(program, input)| (program.to_owned(), input.to_owned())),
                "{commands:?}"
            );
        };
        check(
            &["ipset|-exist|add|f2b-x|192.0.2.1|timeout|0", "ipset|-exist|del|f2b-x|192.0.2.2"],
            Some(("ipset -exist restore", "add f2b-x 192.0.2.1 timeout 0\ndel f2b-x 192.0.2.2\n")),
        );
        check(
            &["iptables|-w|-I|f2b-x|1|-s|192.0.2.1|-j|DROP"; 2],
            Some((
                "iptables-restore -w --noflush",
                "*filter\n-I f2b-x 1 -s 192.0.2.1 -j DROP\n-I f2b-x 1 -s 192.0.2.1 -j DROP\nCOMMIT\n",
            )),
        );
        check(&["ipset|-exist|add|a|b"], None);
        check(&["ipset|add|a|b"; 2], None);
        check(&["ipset|-exist|add|a|b c"; 2], None);
        check(&["iptables|-t|nat|-I|x"; 2], None);
        check(&["iptables|-w|5|-I|x"; 2], None);
        check(&["ufw|deny|x"; 2], None);
        check(&["iptables|-I|x", "ip6tables|-I|x"], None);
    }
}
