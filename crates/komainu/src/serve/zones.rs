//! Probes the DNSBLs in use from time to time, and says when one goes bad or good again (T1.4).

use crate::facts::Answers;
use crate::log::Log;
use events::own::{Matter, Own};
use policy::Zone;
use std::sync::Arc;
use std::time::Duration;

/// Between two rounds of probes.
const ROUND: Duration = Duration::from_secs(600);
/// Between the first rounds, until every zone has been heard or given up.
const FIRST_ROUNDS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];

/// Probes `zones` for ever.
pub(super) async fn probe_all(zones: Vec<Zone>, answers: Arc<Answers>, log: Log) {
    let mut pauses = FIRST_ROUNDS.into_iter();
    loop {
        for zone in &zones {
            if let Some(health) = answers.health.probe(zone, answers.names.as_ref()).await {
                let line = if health.is_healthy() {
                    Own::new(Matter::ZoneHealthy, zone.domain.as_str(), "it is asked again")
                } else {
                    Own::new(
                        Matter::ZoneUnhealthy,
                        zone.domain.as_str(),
                        format!("{}; skipped", health.reason()),
                    )
                };
                log.write("komainu/dnsbl", line);
            }
        }
        tokio::time::sleep(pauses.next().unwrap_or(ROUND)).await;
    }
}
