use super::*;

#[test]
fn tl_keyring_unavailable_a_slow_one_is_told_and_not_asked_twice() {
    static BUSY: AtomicBool = AtomicBool::new(false);
    let (release, wait) = mpsc::channel::<()>();
    let hanging = move || {
        let _ = wait.recv();
        Ok(())
    };
    let first = bounded(&BUSY, Duration::ZERO, hanging);
    let second = bounded(&BUSY, KEYRING_DEADLINE, || Ok(()));
    for outcome in [first, second] {
        assert!(matches!(outcome, Err(StoreError::Slow { .. })));
    }
    drop(release);
    while BUSY.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
    assert_eq!(bounded(&BUSY, KEYRING_DEADLINE, || Ok(())), Ok(()));
}

#[test]
fn a_keyring_library_that_panics_is_a_keyring_that_refuses() {
    static BUSY: AtomicBool = AtomicBool::new(false);
    let outcome: Result<(), _> = bounded(&BUSY, KEYRING_DEADLINE, || panic!("library bug"));
    assert!(matches!(outcome, Err(StoreError::Refused(_))));
    assert!(!BUSY.load(Ordering::Acquire));
}
