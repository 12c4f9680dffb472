//! The whole forwarding path over loopback: a client straight at an upstream, through the built
//! daemon, and through nginx, side by side. Then the memory of sessions and of open streams.
//!
//! No statistics of criterion's: three programs are compared by how many requests they carry and
//! what processor time that costs them, which it does not measure, and on a machine that does
//! other things too only arrangements that take turns can be compared. Medians of all rounds, and
//! of what one was beside the other in each, are printed with the budgets; nothing fails, since a
//! busy machine is no fault of the program.
//! `-- forwarding`, `-- memory` or `-- keep-alive` runs that part only; the last has the daemon with
//! and without what keeps agents alive: what that costs a request, and an event of a stream that is
//! followed in case it breaks. `DOORWARD_BESIDE` names other builds of the program, with a `:`
//! between their paths: they take their turns with this one.

#![expect(clippy::print_stdout, reason = "a table is the result")]

mod load;
mod memory;
mod parts;
#[path = "../../tests/it/support/records.rs"]
mod records;
mod streams;
mod wire;

use std::time::Duration;

use load::{Ask, Round, Target};
use parts::{AGENTS, Daemon, Nginx, Upstream};
use streams::EVENTS;

const CONNECTIONS: [usize; 3] = [1, 64, 256];
const ROUNDS: usize = 15;
const LENGTH: Duration = Duration::from_millis(800);

fn main() {
    // `cargo test --benches` wants to know only whether this compiles and starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    if std::env::var_os(parts::ROLE).is_some() {
        parts::serve_upstream();
    }
    parts::allow_many_files();
    let upstream = Upstream::start();
    let daemon = Daemon::start(&upstream, AGENTS);
    let nginx = Nginx::start(&upstream, &daemon.bearers);
    if let Err(why) = &nginx {
        println!("nginx is left out: {why}");
    }
    let mut targets = vec![upstream.target(), daemon.target()];
    targets.extend(nginx.as_ref().ok().map(Nginx::target));
    let others = Daemon::others(&upstream);
    targets.extend(others.iter().map(Daemon::target));
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        println!("load of the machine at the start: {}", load.trim());
    }
    if is_wanted("forwarding") {
        for connections in CONNECTIONS {
            compare(&targets, connections);
        }
    }
    if is_wanted("memory") {
        memory::report(&upstream, &targets);
    }
    if is_wanted("keep-alive") {
        let targets = [daemon.without_keep_alive(), daemon.target()];
        compare_alike(&targets, Ask::Call);
        compare_alike(&targets, Ask::Stream);
    }
}

/// Whether a part was named on the command line, or none was.
fn is_wanted(part: &str) -> bool {
    let mut named = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .peekable();
    named.peek().is_none() || named.any(|name| part.contains(&name))
}

/// What a healthy request or stream costs more at the second target than at the first.
fn compare_alike(targets: &[Target; 2], ask: Ask) {
    for connections in CONNECTIONS {
        let figures = measure(targets, connections, ask);
        let [without, with] = &figures[..] else {
            return;
        };
        let percent = |with: f64, without: f64| 100.0 * (with / without - 1.0);
        println!(
            "keep_alive: p50 {:+.1} %, requests/s {:+.1} % (budget: nothing measurable)",
            percent(with.p50, without.p50),
            percent(with.rate, without.rate),
        );
        if let (Some(with), Some(without)) = (with.cpu, without.cpu) {
            println!("keep_alive: CPU a request {:+.1} %", percent(with, without));
            if ask == Ask::Stream {
                let nanos = 1e3 * (with - without) / f64::from(EVENTS);
                println!("keep_alive: CPU an event {nanos:+.0} ns");
            }
        }
    }
}

/// Lets the targets take turns, every round beginning with another one and every other round
/// backwards, so that none always follows the same one; and prints the medians.
fn measure(targets: &[Target], connections: usize, ask: Ask) -> Vec<Figures> {
    let mut rounds: Vec<Vec<Round>> = targets.iter().map(|_| Vec::new()).collect();
    for turn in 0..ROUNDS {
        for offset in 0..targets.len() {
            let forwards = (turn + offset) % targets.len();
            let at = if turn % 2 == 0 {
                forwards
            } else {
                targets.len() - 1 - forwards
            };
            rounds[at].push(load::run(&targets[at], connections, LENGTH, ask));
        }
    }
    let figures: Vec<_> = rounds.into_iter().map(Figures::of).collect();
    let what = match ask {
        Ask::Call => String::new(),
        Ask::Stream => format!(", each answered with a stream of {EVENTS} events"),
    };
    println!("\n{connections} connections, medians of {ROUNDS} rounds of {LENGTH:?}{what}");
    println!(
        "{:<16}{:>12}{:>10}{:>10}{:>16}",
        "", "requests/s", "p50 µs", "p99 µs", "CPU µs/request"
    );
    for (target, figures) in targets.iter().zip(&figures) {
        let cpu = figures
            .cpu
            .map_or("-".to_owned(), |cpu| format!("{cpu:.2}"));
        println!(
            "{:<16}{:>12.0}{:>10.1}{:>10.1}{cpu:>16}",
            target.name, figures.rate, figures.p50, figures.p99
        );
    }
    figures
}

/// The targets beside the first one.
fn compare(targets: &[Target], connections: usize) {
    let figures = measure(targets, connections, Ask::Call);
    // Other builds show what they are in the table.
    let known = targets.iter().zip(figures);
    let known =
        known.filter(|(target, _)| ["direct", "doorward", "nginx"].contains(&&*target.name));
    let figures: Vec<_> = known.map(|(_, figures)| figures).collect();
    let [direct, ours, rest @ ..] = &figures[..] else {
        return;
    };
    let added = |figures: &Figures| figures.p50 - direct.p50;
    print!("added to the p50: {:.1} µs by doorward", added(ours));
    for theirs in rest {
        print!(", {:.1} µs by nginx", added(theirs));
    }
    println!("{}", budget(connections == 1, "40 µs"));
    for theirs in rest.iter().filter(|_| connections == 1) {
        // How long a process sleeps and wakes is the machine's; the budget is of one where nginx
        // adds 16 µs.
        let times = added(ours) / added(theirs);
        println!(
            "of what nginx adds: {times:.2}{}",
            budget(true, "40/16 = 2.5 at most")
        );
    }
    for theirs in rest {
        // Turn by turn: what the machine does meanwhile slows both of one turn.
        let of = |figure: fn(&Round) -> Option<f64>| {
            let turns = ours.rounds.iter().zip(&theirs.rounds);
            let ratios = turns.map(|(ours, theirs)| Some(figure(ours)? / figure(theirs)?));
            ratios.collect::<Option<Vec<_>>>().map(median)
        };
        if let Some(rate) = of(|round| Some(round.rate())) {
            let least = budget(connections == 64, "0.85 at least");
            println!("of nginx's requests a second: {rate:.2}{least}");
        }
        if let Some(cpu) = of(Round::cpu_a_request) {
            let most = budget(connections == 64, "1.5 at most");
            println!("of nginx's CPU a request: {cpu:.2}{most}");
        }
    }
}

/// What a figure should be, where that was settled.
fn budget(applies: bool, text: &str) -> String {
    if applies {
        format!(" (budget: {text})")
    } else {
        String::new()
    }
}

/// The medians of some rounds, and these.
struct Figures {
    rounds: Vec<Round>,
    rate: f64,
    p50: f64,
    p99: f64,
    /// Processor time of the process in the middle, user and system.
    cpu: Option<f64>,
}

impl Figures {
    fn of(rounds: Vec<Round>) -> Self {
        let all = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
        let cpu: Option<Vec<_>> = rounds.iter().map(Round::cpu_a_request).collect();
        Self {
            rate: all(Round::rate),
            p50: all(|round| round.percentile(50)),
            p99: all(|round| round.percentile(99)),
            cpu: cpu.map(median),
            rounds,
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
