//! The daemon is killed at random moments of whatever it does, round after round.
//!
//! `tests/chaos --rounds 500 --seed 7 --jobs 2` plays more of them; without it there are 25. What
//! is done and when the blow falls follows from the seed, how far the daemon has come by then does
//! not. Jobs are tables of their own, side by side, each with a seed that follows from the one.

use std::collections::BTreeMap;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Stdio;
use std::time::Duration;

use doorward::clock::{Clock, SystemClock, SystemRandom, random_u64};
use rustix::process::{Signal, kill_process};

use super::sessions::status;
use super::{After, World};

const ROUNDS: u64 = 25;
/// The longest wait for a blow, in milliseconds. What takes longer is not hit any better by more
/// patience, and an estimate that only grows would never end.
const LONGEST: f64 = 3000.0;

/// What the daemon is doing when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Doing {
    Refresh,
    SignIn,
    Mint,
    Revoke,
    Start,
    Stop,
}

const ALL: [Doing; 6] = [
    Doing::Refresh,
    Doing::SignIn,
    Doing::Mint,
    Doing::Revoke,
    Doing::Start,
    Doing::Stop,
];

/// Numbers that follow from a seed (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end as u64).expect("below a usize")
    }

    /// In `0.0..1.0`.
    fn fraction(&mut self) -> f64 {
        f64::from(u32::try_from(self.roll() >> 32).expect("32 bits")) / 4_294_967_296.0
    }
}

/// What is known of the sessions of one daemon.
struct Roll {
    living: Vec<(String, String)>,
    over: Vec<String>,
}

/// A line of the table.
#[derive(Default)]
struct Line {
    rounds: u32,
    confirmed: u32,
    repeated: u32,
    lost: u32,
    failures: u32,
}

impl Line {
    fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.confirmed += other.confirmed;
        self.repeated += other.repeated;
        self.lost += other.lost;
        self.failures += other.failures;
    }
}

struct Game {
    world: World,
    roll: Roll,
}

impl Game {
    fn new(grace: bool) -> Self {
        let world = World::new(grace);
        let living = (0..2).map(|_| world.daemon.mint("before")).collect();
        let roll = Roll {
            living,
            over: Vec::new(),
        };
        Self { world, roll }
    }

    /// One round: something is done, the blow falls after `wait`, and then all must be as it was
    /// told to be.
    fn play(&mut self, doing: Doing, wait: Duration, dice: &mut Dice, line: &mut Line) {
        let confirmed = if doing == Doing::Start {
            self.world.daemon.kill();
            self.start_in_vain(wait)
        } else {
            self.until_killed(doing, wait, dice)
        };
        line.confirmed += u32::from(confirmed);
        let after = self.world.recovers(&format!("{doing:?}"));
        line.lost += u32::from(after == After::Lost);
        line.repeated += self.world.reuses();
        self.world.forget();
        self.remembers(10);
    }

    /// A daemon that does not live long enough to be ready, or just so; whether it said that it is.
    fn start_in_vain(&self, wait: Duration) -> bool {
        let port = self.world.daemon.url.rsplit(':').next().expect("a port");
        let mut child = self
            .world
            .daemon
            .command()
            .args(["serve", "--ready-fd", "1", "--port", port])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        pass(wait);
        child.kill().expect("it ran");
        child.wait().expect("it ended");
        let mut said = String::new();
        let mut ready = child.stdout.take().expect("piped");
        ready.read_to_string(&mut said).expect("a pipe");
        said.ends_with('\n')
    }

    /// Whether it was confirmed before the blow.
    fn until_killed(&mut self, doing: Doing, wait: Duration, dice: &mut Dice) -> bool {
        let chosen = dice.below(self.roll.living.len().max(1));
        let world = &self.world;
        let pid = world.daemon.pid();
        let target = self.roll.living.get(chosen).map(|(id, _)| id.clone());
        let mut minted = None;
        // Calls that need a new token are under way at every other blow as well.
        if matches!(doing, Doing::Refresh | Doing::Stop) || dice.below(2) == 0 {
            let nothing = serde_json::json!({});
            world.authority.tell("/expire-access-tokens", &nothing);
        }
        let confirmed = std::thread::scope(|scope| {
            let calls: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| world.daemon.try_echo(&world.agent)))
                .collect();
            let acting = scope.spawn(|| match doing {
                Doing::Refresh | Doing::Start => true,
                Doing::Stop => kill_process(pid, Signal::TERM).is_ok(),
                Doing::SignIn => world.daemon.try_sign_in(&world.authority),
                Doing::Mint => {
                    let (code, told) = world.daemon.run(&["session", "mint"]);
                    if code == 0 {
                        let text = |of: &serde_json::Value| of.as_str().expect("text").to_owned();
                        minted = Some((text(&told["session"]["id"]), text(&told["credential"])));
                    }
                    code == 0
                }
                Doing::Revoke => target
                    .as_ref()
                    .is_some_and(|id| world.daemon.run(&["ctl", "revoke", id]).0 == 0),
            });
            pass(wait);
            // It may have stopped already, as it was told to.
            let _ = kill_process(pid, Signal::KILL);
            let acted = acting.join().expect("no panic");
            let called: Vec<_> = calls
                .into_iter()
                .map(|call| call.join().expect("no panic"))
                .collect();
            acted && (doing != Doing::Refresh || called.iter().all(|one| *one))
        });
        self.world.daemon.reap();
        self.roll.living.extend(minted);
        if doing == Doing::Revoke && confirmed {
            let (_, credential) = self.roll.living.remove(chosen);
            self.roll.over.push(credential);
        }
        confirmed
    }

    /// No confirmed mint is forgotten, no confirmed revoke either. A revoke that was not confirmed
    /// may have happened, and then it stays so.
    fn remembers(&mut self, newest: usize) {
        let daemon = &self.world.daemon;
        for credential in self.roll.over.iter().rev().take(newest) {
            assert_eq!(status(daemon, credential), 401, "a revoked session works");
        }
        let Roll { living, over } = &mut self.roll;
        let from = living.len().saturating_sub(newest);
        let mut number = 0;
        living.retain(|(id, credential)| {
            number += 1;
            if number <= from || status(daemon, credential) == 404 {
                return true;
            }
            let (code, told) = daemon.run(&["ctl", "show", id]);
            assert_eq!(code, 0, "a confirmed mint is forgotten: {told}");
            let by = &told["item"]["ended_by"];
            assert_eq!(by, "person", "ended by nobody's wish: {told}");
            over.push(credential.clone());
            false
        });
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a moment nobody chose is the point"
)]
fn pass(time: Duration) {
    std::thread::sleep(time);
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

type Table = BTreeMap<(Doing, bool), Line>;

/// Rounds at one table: a world with a grace and one without.
fn play(seed: u64, rounds: u64) -> Table {
    eprintln!("seed {seed}, {rounds} rounds");
    let mut dice = Dice(seed);
    let mut games = [true, false].map(Game::new);
    let mut table = Table::new();
    // How long each takes here and now: found out in play, so that most blows hit.
    let mut lengths: BTreeMap<Doing, f64> = ALL.map(|doing| (doing, 200.0)).into();
    for round in 0..rounds {
        let doing = ALL[dice.below(ALL.len())];
        let side = dice.below(2);
        let length = lengths.get_mut(&doing).expect("one for all");
        let wait = Duration::from_secs_f64(*length * dice.fraction() / 1000.0);
        let line = table.entry((doing, side == 0)).or_default();
        line.rounds += 1;
        let before = line.confirmed;
        let game = &mut games[side];
        let outcome = catch_unwind(AssertUnwindSafe(|| game.play(doing, wait, &mut dice, line)));
        if outcome.is_err() {
            eprintln!("round {round} of seed {seed} failed: {doing:?} after {wait:?}");
            line.failures += 1;
            games[side] = Game::new(side == 0);
        }
        *length *= if line.confirmed > before { 0.8 } else { 1.15 };
        *length = length.min(LONGEST);
        if (round + 1) % 50 == 0 {
            eprintln!("{} rounds done with seed {seed}", round + 1);
        }
    }
    for game in &mut games {
        game.remembers(usize::MAX);
    }
    table
}

#[test]
fn chaos_roulette_of_random_deaths() {
    let rounds = number("CHAOS_ROUNDS").unwrap_or(ROUNDS);
    let seed = number("CHAOS_SEED").unwrap_or_else(|| random_u64(&SystemRandom) >> 32);
    let jobs = number("CHAOS_JOBS").unwrap_or(1).max(1);
    let begun = SystemClock.now();
    // A table is played again alone by its own seed and number of rounds, which it tells.
    let share = |job| (seed + job, rounds / jobs + u64::from(job < rounds % jobs));
    let mut sum = Table::new();
    std::thread::scope(|scope| {
        let tables: Vec<_> = (0..jobs)
            .map(share)
            .map(|(seed, rounds)| scope.spawn(move || play(seed, rounds)))
            .collect();
        for table in tables {
            for (key, line) in table.join().expect("what was remembered holds") {
                sum.entry(key).or_default().add(&line);
            }
        }
    });
    print(&sum);
    let took = SystemClock.now().since(begun);
    eprintln!("{rounds} rounds, {jobs} side by side, in {took:.0?}");
    let failures: u32 = sum.values().map(|line| line.failures).sum();
    assert_eq!(failures, 0, "seed {seed}");
}

fn print(table: &Table) {
    eprintln!("killed during  grace  rounds  confirmed  repeated  lost  failures");
    for ((doing, grace), line) in table {
        let (doing, grace) = (format!("{doing:?}"), if *grace { "yes" } else { "no" });
        let Line {
            rounds,
            confirmed,
            repeated,
            lost,
            failures,
        } = line;
        eprintln!(
            "{doing:13}  {grace:5}  {rounds:6}  {confirmed:9}  {repeated:8}  {lost:4}  {failures:8}"
        );
    }
}
