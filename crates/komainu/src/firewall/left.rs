//! Rules of ufw that an earlier run left. ufw has no `actioncheck` that could find them; they are known by the comment that
//! the action gives them, of which the jail's name is a part. T2.19.

use ban::action::Script;
use ban::action::plain::{Step, steps};
use ban::filter::Id;

/// What a rule's comment says, but for how many failures it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Comment {
    before: String,
    behind: String,
    /// The words that list the rules that were added.
    pub(super) listing: [String; 3],
}

impl Comment {
    /// What two bans have in common that differ by their failures alone; nothing where it isn't ufw, or where the comment
    /// is everybody's.
    pub(super) fn of(scripts: [(&Script, u32); 2]) -> Option<Comment> {
        let [one, other] = scripts.map(|(script, failures)| parts(script, failures));
        let (one, other) = (one?, other?);
        (one == other && !one.before.is_empty() && !one.behind.trim().is_empty()).then_some(one)
    }

    /// Whom the rules of this comment shut out, by what `ufw show added` prints.
    pub(super) fn find(&self, listing: &str) -> Vec<Id> {
        listing.lines().filter_map(|line| self.id(line)).collect()
    }

    fn id(&self, line: &str) -> Option<Id> {
        let (rule, comment) = line.split_once(" comment '")?;
        let count = comment.strip_suffix('\'')?.strip_prefix(&self.before)?.strip_suffix(&self.behind)?;
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut words = rule.split_whitespace().skip_while(|word| *word != "from").skip(1);
        let from = words.next()?;
        let (address, length) = from.split_once('/').map_or((from, None), |(a, bits)| (a, Some(bits)));
        let length = length.map(str::parse).transpose().ok()?;
        Some(ban::filter::network(address.parse().ok()?, length))
    }
}

/// The comment around the number of failures, of a command of ufw's.
fn parts(script: &Script, failures: u32) -> Option<Comment> {
    let number = failures.to_string();
    steps(script)?.iter().find_map(|step| {
        let Step::Run(command) = step else { return None };
        let program = command.words.first().filter(|word| word.rsplit('/').next() == Some("ufw"))?;
        let at = command.words.iter().position(|word| word == "comment")?;
        let (before, behind) = command.words.get(at + 1)?.split_once(&number)?;
        let listing = [program.clone(), "show".to_owned(), "added".to_owned()];
        Some(Comment { before: before.to_owned(), behind: behind.to_owned(), listing })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comment(template: &str) -> Option<Comment> {
        let script = |failures: u32| Script {
            text: template.replace("<failures>", &failures.to_string()),
            variables: Vec::new(),
        };
        Comment::of([(&script(7_171), 7_171), (&script(82_828), 82_828)])
    }

    #[test]
    fn rules_of_one_jail() {
        let ufw = "ufw prepend reject from 192.0.2.1 to any comment \"by Fail2Ban after <failures> attempts against j\"";
        let found = comment(ufw).unwrap().find(
            "Added user rules (see 'ufw status' for running firewall):\n\
             ufw reject from 192.0.2.1 comment 'by Fail2Ban after 3 attempts against j'\n\
             ufw reject from 192.0.2.2 comment 'by Fail2Ban after 3 attempts against j1'\n\
             ufw reject from 192.0.2.3 comment 'by Fail2Ban after x attempts against j'\n\
             ufw allow from 192.0.2.4\n\
             ufw deny from 192.0.2.5 comment 'by Fail2Ban after 3 attempts against j' # not '\n\
             ufw allow 22/tcp comment 'its mine'\n\
             ufw reject from 2001:db8:1::/64 comment 'by Fail2Ban after 12 attempts against j'\n\
             ufw reject from nowhere comment 'by Fail2Ban after 12 attempts against j'\n",
        );
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1", "2001:db8:1::/64"]);
        for other in [
            "iptables -I x -s 192.0.2.1 -m comment comment \"after <failures> by j\"",
            "ufw reject from 192.0.2.1 to any",
            "ufw reject from 192.0.2.1 comment \"banned\"",
            "ufw reject from 192.0.2.1 comment \"banned after <failures>\"",
        ] {
            assert_eq!(comment(other), None, "{other}");
        }
    }
}
