use super::*;
use crate::call::room::HEAD;
use lazaret_launch::refusals::Refusals;
use lazaret_policy::Loader;
use lazaret_sys::wait::Used;
use proptest::prelude::*;

fn recipe() -> Recipe {
    Recipe::new(&Loader::new().profile("compute").expect("a built-in profile")).expect("it can be enforced here")
}

fn watched(ended: Option<Ended>, stop: Option<Stop>) -> Watched {
    let used = Used::default();
    Watched { stop, ended, used, ready: true, refused: Refusals::default(), wall: Duration::ZERO }
}

fn head(state: u32, output_len: u64) -> Head {
    Head { state, step: 0, errno: 0, output_len, short_memory: false, message: String::new() }
}

const LAYOUT: Layout = Layout { input: 0, capacity: 0, bound: 100 };

#[test]
fn an_answer_within_the_bound_is_taken_and_one_beyond_is_not() {
    let (recipe, own_end) = (recipe(), watched(Some(Ended::Exited(0)), None));

    let within = judge(&own_end, &head(state::VALUE, 100), &recipe, LAYOUT).expect("it was ready");
    let beyond = judge(&own_end, &head(state::VALUE, 101), &recipe, LAYOUT).expect("it was ready");

    assert_eq!(within, (Ending::Returned, Some(Answer { is_error: false, len: 100 })));
    assert!(matches!(beyond, (Ending::Garbled { .. }, None)), "{beyond:?}");
}

#[test]
fn an_answer_of_a_process_that_was_ended_is_none() {
    let ended = watched(Some(Ended::Signalled(9)), Some(Stop::Wall));

    let (ending, answer) = judge(&ended, &head(state::VALUE, 10), &recipe(), LAYOUT).expect("it was ready");

    assert_eq!((ending.verdict().map(Verdict::kind), answer), (Some("timeout"), None));
}

#[test]
fn a_function_cannot_pretend_that_its_process_was_not_locked_down() {
    let own_end = watched(Some(Ended::Exited(0)), None);

    let judged = judge(&own_end, &head(state::SETUP, 0), &recipe(), LAYOUT);

    assert!(matches!(judged, Ok((Ending::Garbled { .. }, None))), "{judged:?}");
}

#[test]
fn a_process_that_never_was_ready_is_an_error_with_its_step() {
    let never = Watched { ready: false, ..watched(Some(Ended::Exited(1)), None) };
    let failed = Head { step: 7, errno: 1, ..head(state::SETUP, 0) };

    let error = judge(&never, &failed, &recipe(), LAYOUT).expect_err("nothing ran");

    assert!(error.to_string().contains("enter a Landlock domain"), "{error}");
}

proptest! {
    #[test]
    fn whatever_a_function_leaves_is_judged(
        bytes in proptest::collection::vec(any::<u8>(), HEAD),
        small_state in 0_u32..10,
        status in proptest::option::of(0_i32..200),
        stop in proptest::option::of(0_usize..3),
    ) {
        let mut bytes: [u8; HEAD] = bytes.try_into().expect("as many");
        bytes[..4].copy_from_slice(&small_state.to_ne_bytes());
        let ended = status.map(|status| if status < 100 { Ended::Exited(status) } else { Ended::Signalled(status - 100) });
        let stop = stop.map(|stop| [Stop::Wall, Stop::Cpu, Stop::Cancelled][stop]);
        let read = Head::parse(&bytes);

        let (ending, answer) = judge(&watched(ended, stop), &read, &recipe(), LAYOUT).expect("it was ready");

        prop_assert!(answer.is_none_or(|answer| answer.len <= 100));
        prop_assert_eq!(ending.is_returned(), answer.is_some());
        prop_assert!(read.message.len() <= 3 * HEAD);
    }
}
