//! What happens without anybody asking: actors that died are replaced, last uses are written,
//! ended sessions are dropped, the log is kept short, and a changed configuration is loaded.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use crate::actor::upkeep::{Roll, purge, write_roll};
use crate::web::control::Control;

const PERIOD: Duration = Duration::from_secs(5);
/// Last uses are written every so many periods.
const ROLL_EVERY: u32 = 6;

/// Goes on until it is dropped.
pub(super) async fn tend(control: Control, watch: bool, log: PathBuf) {
    tokio::join!(
        control.directory.replace_the_dead(),
        keep_house(&control, watch, &log)
    );
}

async fn keep_house(control: &Control, watch: bool, log: &Path) {
    let mut seen = changed_at(&control.inputs.file);
    let mut roll = Roll::new();
    for round in 1_u32.. {
        tokio::time::sleep(PERIOD).await;
        control.directory.look_after();
        if round.is_multiple_of(ROLL_EVERY) {
            write_roll(&control.directory, &mut roll).await;
            purge(&control.directory).await;
            let log = log.to_owned();
            // It may have to copy some megabytes. Nothing depends on its end.
            actix_rt::task::spawn_blocking(move || super::log::bound(&log));
        }
        let now = changed_at(&control.inputs.file);
        if watch && now != seen {
            seen = now;
            match (control.reload)() {
                Ok(report) => info!(
                    added = named(&report.added),
                    removed = named(&report.removed),
                    changed = named(&report.changed),
                    "configuration reloaded"
                ),
                Err(problem) => warn!(problem = problem.message(), "configuration kept"),
            }
        }
    }
}

fn changed_at(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file)
        .and_then(|data| data.modified())
        .ok()
}

/// The names in a line; where there are none, nothing.
fn named(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(", "))
}
