//! Death in the course of a refresh.

use serde_json::json;

use super::{After, World};

/// Where it dies; whether the token has been presented by then, and whether that was in vain.
const STEPS: [(&str, u64, bool); 8] = [
    ("account.event=1*off->return", 0, false),
    ("refresh.intent=return", 0, false),
    ("refresh.call=return", 0, false),
    ("refresh.answer=return", 1, true),
    ("store.commit=2*off->return", 1, true),
    ("refresh.committed=return", 1, false),
    ("refresh.publish=return", 1, false),
    ("refresh.published=return", 1, false),
];

fn step_by_step(grace: bool) {
    let mut world = World::new(grace);
    world.daemon.kill();
    for (step, presented, in_vain) in STEPS {
        world.forget();
        assert!(world.daemon.serve_until(step), "{step}");
        assert!(!world.daemon.try_echo(&world.agent), "{step}");
        world.daemon.dies();
        let sent = world.authority.count("refresh_requests");
        assert_eq!(sent, presented, "{step}");
        let after = world.recovers(step);
        let lost = in_vain && !grace;
        assert_eq!(after == After::Lost, lost, "{step}");
        assert_eq!(world.reuses(), u32::from(in_vain), "{step}");
        world.daemon.kill();
    }
}

#[test]
fn chaos_a_refresh_dies_at_every_step_with_a_grace_and_nothing_is_lost() {
    step_by_step(true);
}

#[test]
fn chaos_a_refresh_dies_at_every_step_and_a_loss_has_its_reason() {
    step_by_step(false);
}

/// The steps that nobody gave a name: each write of the store, before it and after it.
#[test]
fn chaos_a_refresh_dies_around_every_write() {
    let mut world = World::new(true);
    world.daemon.kill();
    let mut deaths = 0;
    for side in ["store.commit", "store.committed"] {
        for passed in 0.. {
            let step = format!("{side}={passed}*off->return");
            world.forget();
            if world.daemon.serve_until(&step) && world.daemon.try_echo(&world.agent) {
                world.daemon.kill();
                break;
            }
            world.daemon.dies();
            deaths += 1;
            assert_eq!(world.recovers(&step), After::Kept, "{step}");
            world.daemon.kill();
        }
    }
    assert!(deaths >= 6, "the start, the intent and the token: {deaths}");
}

/// While the request is out: before the server has carried it out, and after.
#[test]
fn chaos_a_refresh_dies_while_its_request_is_out() {
    for (grace, fault, after) in [
        (true, "hold_before", After::Kept),
        (true, "hold_after", After::Kept),
        (false, "hold_before", After::Kept),
        (false, "hold_after", After::Lost),
    ] {
        let name = format!("{fault}, grace {grace}");
        let mut world = World::new(grace);
        world.daemon.kill();
        world.daemon.serve();
        world
            .authority
            .tell("/fault", &json!({"on": "token", "kind": fault}));
        std::thread::scope(|scope| {
            let calling = scope.spawn(|| world.daemon.try_echo(&world.agent));
            let held = world.authority.ask("/wait?count=held&at_least=1");
            assert_eq!(held["reached"], true, "{name}");
            let pid = world.daemon.pid();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("ours");
            assert!(!calling.join().expect("no panic"), "{name}");
        });
        world.daemon.dies();
        world.authority.tell("/heal", &json!({}));
        assert_eq!(world.recovers(&name), after, "{name}");
    }
}

/// Two deaths over one token: the server sees it a third time, and no more than once a death.
#[test]
fn chaos_each_death_costs_one_presentation_of_the_token() {
    let mut world = World::new(true);
    world.daemon.kill();
    world.forget();
    for _ in 0..2 {
        assert!(world.daemon.serve_until("refresh.answer=return"));
        assert!(!world.daemon.try_echo(&world.agent));
        world.daemon.dies();
    }
    world.daemon.serve();
    assert!(world.daemon.try_echo(&world.agent));
    assert_eq!(world.reuses(), 2);
    assert_eq!(world.authority.count("refresh_requests"), 3);
}
