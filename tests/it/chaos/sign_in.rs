//! Death in the course of a sign-in and of a sign-out.

use super::{After, World};
use crate::support::parts::{Daemon, Part};

const STEPS: [&str; 4] = [
    "sign-in.answer=return",
    "sign-in.committed=return",
    "sign-in.publish=return",
    "sign-in.published=return",
];

/// Whoever was signed in before still is, by the old sign-in or by the new one.
#[test]
fn chaos_a_second_sign_in_dies_at_every_step_and_one_of_both_is_kept() {
    let mut world = World::new(false);
    world.daemon.kill();
    for step in STEPS {
        assert!(world.daemon.serve_until(step), "{step}");
        assert!(!world.daemon.try_sign_in(&world.authority), "{step}");
        world.daemon.dies();
        assert_eq!(world.recovers(step), After::Kept, "{step}");
        assert_eq!(world.reuses(), 0, "{step}");
        world.daemon.kill();
    }
    for side in ["store.commit", "store.committed"] {
        for passed in 0.. {
            let step = format!("{side}={passed}*off->return");
            if world.daemon.serve_until(&step) && world.daemon.try_sign_in(&world.authority) {
                // The last write follows the answer, and this may be its place.
                world.daemon.kill();
                assert!(passed > 1, "the start and the sign-in were interrupted");
                break;
            }
            world.daemon.dies();
            assert_eq!(world.recovers(&step), After::Kept, "{step}");
            assert_eq!(world.reuses(), 0, "{step}");
            world.daemon.kill();
        }
    }
    assert_eq!(world.recovers("confirmed"), After::Kept);
}

/// A first one leaves nothing that is in the way of the next.
#[test]
fn chaos_a_first_sign_in_dies_at_every_step_and_the_next_one_works() {
    let authority = Part::authorization_server(&serde_json::json!({}));
    let upstream = Part::resource_server(&authority);
    let steps = STEPS.into_iter().chain(["sign-in.registered=return"]);
    for step in steps {
        let mut daemon = Daemon::start();
        let (code, added) = daemon.run(&["upstream", "add", "ev", &upstream.url]);
        assert_eq!(code, 0, "{added}");
        daemon.kill();
        assert!(daemon.serve_until(step), "{step}");
        assert!(!daemon.try_sign_in(&authority), "{step}");
        daemon.dies();
        daemon.serve();
        let kept = step != "sign-in.answer=return" && step != "sign-in.registered=return";
        let (_, status) = daemon.run(&["status"]);
        let state = &status["upstreams"][0]["state"];
        assert_eq!(state == "login", !kept, "{step}: {status}");
        if !kept {
            assert!(daemon.try_sign_in(&authority), "{step}");
        }
        let agent = daemon.agent("one");
        assert!(daemon.try_echo(&agent), "{step}");
    }
    assert_eq!(authority.count("reuse_presented"), 0);
}

/// What the provider was told is not taken back, and what it was not told is not lost.
#[test]
fn chaos_a_sign_out_dies_at_every_step_and_nothing_is_half_forgotten() {
    let mut world = World::new(false);
    world.daemon.kill();
    for (step, works) in [
        ("logout.begun=return", true),
        ("logout.told=return", false),
        ("logout.committed=return", false),
    ] {
        assert!(world.daemon.serve_until(step), "{step}");
        let (code, _) = world.daemon.run(&["logout", "ev"]);
        assert_ne!(code, 0, "{step}: not confirmed");
        world.daemon.dies();
        world.daemon.serve();
        assert_eq!(world.daemon.try_echo(&world.agent), works, "{step}");
        if !works {
            let spent = world.authority.count("token_requests");
            assert!(!world.daemon.try_echo(&world.agent), "{step}");
            let after = world.authority.count("token_requests");
            assert_eq!(after, spent, "{step}: nothing is asked for any more");
            assert!(world.daemon.try_sign_in(&world.authority), "{step}");
            assert!(world.daemon.try_echo(&world.agent), "{step}");
        }
        world.daemon.kill();
    }
}
