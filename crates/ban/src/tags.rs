//! `<name>` in filters and actions: parameters put into each other.
//!
//! The innermost is replaced first, so that `<mdre-<mode>>` works; what nothing stands for stays as it is, since
//! `<HOST>` and `<ip>` get their meaning later.

use crate::layers::VALUE_BYTES_MAX;

/// How many replacements one text may take.
const STEPS_MAX: usize = 2_000;

/// Replaces all tags in `text` that `lookup` knows. `None` when they lead to themselves, or the text grows too long.
pub(crate) fn substitute(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut text = text.to_owned();
    let mut from = 0;
    let mut steps = 0;
    // Where the tag that is looked at begins: the last `<` before the next `>`.
    while let Some(end) = text.get(from..).and_then(|rest| rest.find('>')).map(|at| at + from) {
        let start = text.get(..end).and_then(|head| head.rfind('<'));
        let name = start.and_then(|start| text.get(start + 1..end)).filter(|name| is_name(name));
        match (start, name.and_then(lookup)) {
            (Some(start), Some(value)) => {
                steps += 1;
                if steps > STEPS_MAX || text.len() + value.len() > VALUE_BYTES_MAX {
                    return None;
                }
                text.replace_range(start..=end, &value);
                // What came in may hold tags, and may complete one around it.
                from = start;
            }
            _ => from = end + 1,
        }
    }
    Some(text)
}

/// Replaces the tags in `text` that `lookup` knows; what they stand for isn't looked at again.
pub(crate) fn substitute_once(text: &str, lookup: &mut dyn FnMut(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once('>') {
        let tag = head.rsplit_once('<').filter(|(_, name)| is_name(name));
        match tag.and_then(|(before, name)| Some((before, lookup(name)?))) {
            Some((before, value)) => {
                out += before;
                out += &value;
            }
            None => {
                out += head;
                out.push('>');
            }
        }
        rest = tail;
    }
    out + rest
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '<' || c == '>')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        let lookup = |name: &str| {
            Some(match name {
                "a" => "A".to_owned(),
                "mode" => "x".to_owned(),
                "re-x" => "<a>b".to_owned(),
                "me" => "<me>".to_owned(),
                "two" => "<a><a>".to_owned(),
                "S/o" => "so".to_owned(),
                _ => return None,
            })
        };
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(substitute(text, &lookup).as_deref(), expect, "{text}");
        };
        check("<a> <re-<mode>> <HOST> <S/o>", Some("A Ab <HOST> so"));
        check("(?P<a>x) <re-<none>> <a", Some("(?PAx) <re-<none>> <a"));
        check("<<two>> a>b< <a>", Some("<AA> a>b< A"));
        check("<me>", None);
    }
}
