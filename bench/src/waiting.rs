//! What each of a crowd that waits costs: the growth of the server's proportional set size, divided by those in place
//! (T2.2), and what an honest client beside it waits for.
//!
//! Pss of all of the server's processes; what the kernel has for a socket is not in it.

use crate::figures::Figures;
use crate::generate::{self, Load};
use crate::run;
use crate::scenario::Moment;
use crate::server::Server;
use crate::soak::look;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Clients come and are looked after: so long the worst moment may take to come.
const AFTER_THE_LAST: Duration = Duration::from_secs(15);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// One crowd in front of one server.
pub(crate) fn sample(
    server: &Server,
    crowd: Load,
    honest: Option<Load>,
    moment: Moment,
) -> Result<Figures, String> {
    let pss_kb = || look(&server.processes(), 0.0).pss_kb;
    let idle = pss_kb();
    let began = Instant::now();
    let (over, peak) = (AtomicBool::new(false), AtomicU64::new(idle));
    let (standing, note) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                peak.fetch_max(pss_kb(), Ordering::AcqRel);
                std::thread::sleep(PAUSE);
            }
        });
        let standing = generate::start(&crowd).and_then(|standing| {
            let note = standing.in_place()?;
            if moment == Moment::Worst {
                std::thread::sleep(AFTER_THE_LAST);
            }
            Ok((standing, note))
        });
        over.store(true, Ordering::Release);
        standing
    })?;
    let came = began.elapsed();
    if moment == Moment::Rest {
        server.settle();
    }
    let rest = pss_kb();
    let peak = peak.load(Ordering::Acquire).max(rest);
    let inside =
        note.split(' ').next().and_then(|word| word.parse::<u32>().ok()).filter(|number| *number > 0);
    let Some(inside) = inside else { return Err(note) };
    let each = |kb: u64| (kb as f64 - idle as f64) * 1024.0 / f64::from(inside);
    let mut figures = match honest {
        Some(honest) => run::figures(&generate::play(&honest)?, None, server)?,
        None => Figures::default(),
    };
    drop(standing);
    // What a rate would be made of is the honest client's, and says nothing here.
    (figures.done, figures.elapsed_s) = (inside, 0.0);
    figures.bytes_each = Some(each(if moment == Moment::Worst { peak } else { rest }));
    figures.idle_kb = Some(idle as f64);
    let other = format!("{note} after {:.0} s; at most {:.0} bytes each", came.as_secs_f64(), each(peak));
    figures.note = Some(figures.note.map_or(other.clone(), |more| format!("{other}; {more}")));
    Ok(figures)
}
