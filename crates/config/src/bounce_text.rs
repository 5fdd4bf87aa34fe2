//! What `$name` stands for in the text of a bounce: parameters, two times in units of the text's choice, and host names
//! as people write them (bounce(5)).
//!
//! The template and Postfix's words about it are `mail::bounce_template`'s.

use crate::expand::{Scope, expand};
use crate::traced::Traced;
use crate::{Parameters, Severity};
use mail::bounce_template::{BadReference, Expanded, Template, TimeRemark, TimeUnit};
use std::borrow::Cow;
use std::cell::RefCell;

/// A reference to a name that nobody defines.
const UNDEFINED: u16 = 113;

impl Parameters {
    /// The text of a bounce.
    #[must_use]
    pub fn bounce_text(&self, template: &Template) -> Expanded {
        template.expand(|line, remarks| {
            let names = Names { parameters: self, noted: RefCell::default() };
            let (text, found) = expand(&Traced::nowhere(line), &names);
            let Noted { remarks: odd, wrong } = names.noted.into_inner();
            remarks.extend(odd);
            if let Some(wrong) = wrong {
                return Err(wrong);
            }
            if let Some(error) = found.iter().find(|one| one.severity == Severity::Error) {
                return Err(BadReference::Syntax(error.message.clone()));
            }
            if found.iter().any(|one| one.code.0 == UNDEFINED) {
                return Err(BadReference::Undefined);
            }
            Ok(text.as_str().to_owned())
        })
    }
}

/// What the names of one line stand for.
struct Names<'a> {
    parameters: &'a Parameters,
    noted: RefCell<Noted>,
}

#[derive(Default)]
struct Noted {
    remarks: Vec<TimeRemark>,
    /// The first name whose value can't be had.
    wrong: Option<BadReference>,
}

impl Names<'_> {
    fn text(&self, name: &str) -> Result<Option<String>, BadReference> {
        if let Some((parameter, unit)) = TimeUnit::parse(name)? {
            let (count, remark) = unit.count(name, self.parameters.duration(parameter));
            self.noted.borrow_mut().remarks.extend(remark);
            return Ok(Some(count.to_string()));
        }
        let Some((value, found)) = self.parameters.value_of(name) else { return Ok(None) };
        if let Some(error) = found.into_iter().find(|one| one.severity == Severity::Error) {
            return Err(BadReference::Value(error.message));
        }
        let is_host = matches!(name, "myhostname" | "mydomain");
        let readable = is_host && self.parameters.flag("smtputf8_enable");
        Ok(Some(if readable { mail::host::unicode_name(&value) } else { value }))
    }
}

impl Scope for Names<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, Traced>> {
        match self.text(name) {
            Ok(text) => text.map(|text| Cow::Owned(Traced::nowhere(&text))),
            Err(wrong) => {
                self.noted.borrow_mut().wrong.get_or_insert(wrong);
                Some(Cow::Owned(Traced::default()))
            }
        }
    }

    /// Its own references are replaced already.
    fn is_raw(&self, _name: &str) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::{Compat, Host, MainCf, Parameters, SourceFile};
    use mail::bounce_template::{Kind, Template};
    use std::sync::Arc;

    fn expanded(main: &str, text: &str) -> (Result<String, String>, Vec<String>) {
        let main = format!("compatibility_level = 3.6\nmyhostname = mx.example.com\n{main}");
        let (main, _) = MainCf::parse(&Arc::new(SourceFile { path: "main.cf".into(), text: main }));
        let host = Host { hostname: "mx.example.com".to_owned(), addresses: Vec::new() };
        let (parameters, _) = Parameters::new(&main, &host, Compat::V3_7);
        let template = Template {
            text: format!("{text}\n"),
            origin: "f".to_owned(),
            ..Template::built_in(Kind::Failure)
        };
        let expanded = parameters.bounce_text(&template);
        (expanded.text.map_err(|why| why.to_string()), expanded.warnings)
    }

    /// As Postfix 3.7.11's `postconf -b` has it.
    #[test]
    fn names_in_a_text() {
        let main = "mine = 1\nother = $mine $nosuch\nloop = $loop\nmaximal_queue_lifetime = 1234567s\n\
                    delay_warning_time = 90m\n";
        let check = |text: &str, expect: &str| {
            assert_eq!(expanded(main, text), (Ok(format!("{expect}\n")), Vec::new()), "{text}");
        };
        check("$myhostname ${myhostname} $(mydomain) $$", "mx.example.com mx.example.com example.com $");
        check("${myhostname?yes}${nosuch:no}${nosuch?yes} ${{a}=={a}?{x}:{y}}", "yesno x");
        check("|$other|$relayhost|", "|1 ||");
        check("$maximal_queue_lifetime_days $maximal_queue_lifetime_hours", "14 342");
        check("$maximal_queue_lifetime_weeks $delay_warning_time_hours $delay_warning_time", "2 1 90m");
        let refused = |text: &str, why: &str, warnings: &[&str]| {
            let warnings = warnings.iter().map(|warning| (*warning).to_owned()).collect();
            assert_eq!(expanded(main, text), (Err(why.to_owned()), warnings), "{text}");
        };
        refused("a\nb $nosuch", "f: undefined $name in failure template: b $nosuch", &[]);
        refused(
            "$nosuch $",
            "f: bad $name syntax in failure template: $nosuch $",
            &["empty macro name: \"$nosuch $\""],
        );
        refused(
            "$delay_warning_time_ $",
            "f: unrecognized suffix \"\" in parameter \"delay_warning_time_\"",
            &[],
        );
        let (text, warnings) = expanded(main, "$loop");
        assert_eq!(text, Err("dictionary mail_dict: macro processing error".to_owned()));
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn host_names_as_people_write_them() {
        let main = "myhostname = xn--mnchen-3ya.example\nmine = $myhostname\n";
        let (text, _) = expanded(main, "$myhostname $mine");
        assert_eq!(text, Ok("münchen.example xn--mnchen-3ya.example\n".to_owned()));
        let (text, _) = expanded(&format!("{main}smtputf8_enable = no\n"), "$myhostname");
        assert_eq!(text, Ok("xn--mnchen-3ya.example\n".to_owned()));
    }
}
