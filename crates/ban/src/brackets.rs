//! `postfix[mode=aggressive]`: a filter's or an action's name with parameters.
//!
//! Values stand bare up to a comma or bracket, or in either kind of quotes, where anything may stand, line ends too.
//! Several groups of brackets add up.

/// A name with its parameters, in their order; a later one of the same name replaces the earlier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The name before the brackets.
    pub name: String,
    /// The parameters.
    pub options: Vec<(String, String)>,
}

impl Call {
    /// A parameter's value.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: &str) {
        match self.options.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.options.push((name.to_owned(), value.to_owned())),
        }
    }
}

/// Reads the calls of a value, one a line; an error names what can't be read.
///
/// # Errors
/// The text at which a parameter was expected.
pub fn parse(text: &str) -> Result<Vec<Call>, String> {
    let mut calls = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(['[', '\n']).unwrap_or(rest.len());
        let (name, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let mut call = Call { name: name.trim().to_owned(), options: Vec::new() };
        rest = behind;
        while let Some(inner) = rest.strip_prefix('[') {
            rest = group(inner, &mut call)?.trim_start_matches([' ', '\t']);
        }
        if !rest.is_empty() && !rest.starts_with('\n') {
            return Err(rest.lines().next().unwrap_or("").to_owned());
        }
        calls.push(call);
        rest = rest.trim_start();
    }
    Ok(calls)
}

/// The parameters up to `]`; gives back what stands behind it.
fn group<'t>(text: &'t str, call: &mut Call) -> Result<&'t str, String> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        if let Some(behind) = rest.strip_prefix(']') {
            return Ok(behind);
        }
        let wrong = || rest.lines().next().unwrap_or("").to_owned();
        let (name, behind) = rest.split_once('=').ok_or_else(wrong)?;
        let name = name.trim();
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '?' | ':');
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(wrong());
        }
        let behind = behind.trim_start_matches([' ', '\t']);
        let quoted = ['"', '\'']
            .into_iter()
            .find_map(|quote| behind.strip_prefix(quote).and_then(|inner| inner.split_once(quote)));
        let (value, behind) = match quoted {
            Some(found) => found,
            None => {
                let end = behind.find([',', ']']).ok_or_else(wrong)?;
                behind.split_at_checked(end).map(|(value, rest)| (value.trim(), rest)).ok_or_else(wrong)?
            }
        };
        call.set(name, value);
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parameters() {
        let check = |text: &str, expect: &str| {
            let found = match parse(text) {
                Ok(calls) => format!("{:?}", calls.iter().map(|c| (&c.name, &c.options)).collect::<Vec<_>>()),
                Err(wrong) => format!("wrong: {wrong}"),
            };
            assert_eq!(found, expect, "{text}");
        };
        check("", "[]");
        check("postfix", "[(\"postfix\", [])]");
        check(
            "a[x=1, y=\"2,]3\"][x='\"',z= ]\n  b[p=\"1\n2\"]",
            "[(\"a\", [(\"x\", \"\\\"\"), (\"y\", \"2,]3\"), (\"z\", \"\")]), (\"b\", [(\"p\", \"1\\n2\")])]",
        );
        check("a[S/y=9]", "wrong: S/y=9]");
        check("a[x", "wrong: x");
        check("a[x=1] b", "wrong: b");
    }
}
