use super::*;

#[test]
fn settings_are_split() {
    assert_eq!(split_setting(" a = b c "), Ok(("a", "b c")));
    assert_eq!(split_setting("a="), Ok(("a", "")));
    assert_eq!(split_setting("a b=c"), Err(Refused::new("missing '=' after attribute name: \"a b=c\"")));
    assert_eq!(split_setting("=c"), Err(Refused::new("missing attribute name: \"=c\"")));
}
