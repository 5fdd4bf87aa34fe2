//! A warning before a certificate that is served ends: each day, from a fortnight before.

use crate::session::Service;
use mail::Wall;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two looks.
pub(super) const INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// How long before its end a certificate is spoken of.
const AHEAD_S: i64 = 14 * 24 * 3600;

/// What there is to say of the certificates that these servers show.
pub(super) fn ending<'a>(services: impl Iterator<Item = &'a Service>, now: Wall) -> Vec<String> {
    let acceptors = services.filter_map(|service| service.listener.security.acceptor.as_ref());
    // One certificate of many ports is spoken of once.
    let ends: BTreeMap<String, Wall> = acceptors.flat_map(|acceptor| acceptor.ends()).collect();
    ends.into_iter().filter_map(|(name, end)| remark(&name, end, now)).collect()
}

fn remark(name: &str, end: Wall, now: Wall) -> Option<String> {
    let left_s = end.seconds().saturating_sub(now.seconds());
    if left_s > AHEAD_S {
        return None;
    }
    let when = if left_s <= 0 {
        "has ended: clients that check it don't come any more".to_owned()
    } else {
        format!("ends in {} days", left_s / 86_400)
    };
    Some(format!("the certificate that is served for \"{name}\" {when}; renew it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fortnight_before() {
        let now = Wall::from_seconds(1_800_000_000);
        let days = |days: i64| remark("mx", Wall::from_seconds(1_800_000_000 + days * 86_400 + 5), now);
        assert_eq!(days(14), None);
        assert!(days(13).is_some_and(|text| text.contains("ends in 13 days")));
        assert!(days(0).is_some_and(|text| text.contains("ends in 0 days")));
        assert!(days(-1).is_some_and(|text| text.contains("has ended")));
    }
}
