//! Passwords of the system's accounts, judged in the privileged helper: /etc/shadow never leaves it.
//!
//! crypt(5)'s hashes as users::crypt reads them, yescrypt included. Nobody is root: accounts of user id 0 have no
//! password here, nor has one that is locked or has expired (shadow(5)). An account that isn't there costs what another
//! costs. PAM isn't asked here: that is `pam`'s.

use super::wire::Answer;
use std::path::Path;
use users::Stored;

/// Where the hashes are.
const SHADOW: &str = "/etc/shadow";
/// Where the user ids are.
const PASSWD: &str = "/etc/passwd";

/// Whether this is the password of the account.
pub(super) fn judge(name: &str, password: &[u8], today: i64) -> Answer {
    let read = |path: &str| std::fs::read_to_string(Path::new(path));
    match (read(SHADOW), read(PASSWD)) {
        (Ok(shadow), Ok(passwd)) if is_right((&shadow, &passwd), (name, password), today) => Answer::Done,
        (Ok(_), Ok(_)) => Answer::Permanent("0 ".to_owned()),
        (Err(error), _) | (_, Err(error)) => Answer::Temporary(error.to_string()),
    }
}

fn is_right((shadow, passwd): (&str, &str), (name, password): (&str, &[u8]), today: i64) -> bool {
    let hash = |line: &str| line.split(':').nth(1).and_then(|hash| Stored::parse(hash).ok());
    let own = shadow.lines().find(|line| line.split(':').next() == Some(name));
    let stored = own.and_then(hash);
    let is_known = stored.is_some();
    let Some(judge) = stored.or_else(|| shadow.lines().find_map(hash)) else { return false };
    // What it costs is paid in any case.
    let right = judge.is_of(password);
    right && is_known && is_somebody(passwd, name) && own.is_some_and(|line| !has_expired(line, today))
}

/// An account that isn't root's, nor one of root's other names.
fn is_somebody(passwd: &str, name: &str) -> bool {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name));
    let uid = line.and_then(|line| line.split(':').nth(2)?.parse::<u32>().ok());
    uid.is_some_and(|uid| uid != 0)
}

/// The account, by the eighth field; or its password, by the day of its last change and how many days it may be old:
/// days since 1970. A password that has to be changed can't be changed here, so it has expired, as it has for PAM.
fn has_expired(line: &str, today: i64) -> bool {
    let field = |n: usize| line.split(':').nth(n).and_then(|days| days.parse::<i64>().ok());
    let account = field(7).is_some_and(|day| day > 0 && today >= day);
    let age = field(2).map(|changed| today.saturating_sub(changed));
    let too_old = age.zip(field(4)).is_some_and(|(age, most)| most >= 0 && age > most);
    account || too_old || field(2) == Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts() {
        let shadow = "root:{H}:1::::::\nalice:{H}:19000:0:99999:7:::\nlocked:!{H}:1::::::\n\
                      gone:{H}:1:0:99999:7::20000:\nnobody:*:1::::::\nlonely:{H}:1::::::\n\
                      old:{H}:20000:0:90:7:10::\nnew:{H}:0:0:99999:7:::\n"
            .replace("{H}", "$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g.");
        let passwd = "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n\
                      locked:x:1001:1001::/:/bin/sh\ngone:x:1002:1002::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n\
                      old:x:1003:1003::/:/bin/sh\nnew:x:1004:1004::/:/bin/sh\n";
        let check = |name: &str, password: &str, today: i64, expect: bool| {
            let right = is_right((&shadow, passwd), (name, password.as_bytes()), today);
            assert_eq!(right, expect, "{name} {password} {today}");
        };
        check("alice", "password", 20_500, true);
        check("alice", "Password", 20_500, false);
        check("root", "password", 20_500, false);
        check("locked", "password", 20_500, false);
        check("gone", "password", 19_999, true);
        check("gone", "password", 20_000, false);
        check("old", "password", 20_090, true);
        check("old", "password", 20_091, false);
        check("new", "password", 20_500, false);
        check("nobody", "password", 20_500, false);
        check("lonely", "password", 20_500, false);
        check("who", "password", 20_500, false);
        check("", "password", 20_500, false);
    }
}
