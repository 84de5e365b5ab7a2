//! What a function returns comes back, and nothing that it leaves in place of an answer is taken for one.

use crate::{alone, both_ways, called, compute, endings, kinds, spawner, with_limit};
use lazaret::Ending;
use serde::{Deserialize, Serialize};
use std::io::Write as _;

const BULK: usize = 64 << 20;

fn first(input: &[u8]) -> Result<Vec<u8>, String> {
    input.first().map(|byte| vec![*byte]).ok_or_else(|| "nothing to decode".to_owned())
}

#[test]
fn a_value_and_the_functions_own_error_come_back() {
    let _alone = alone();
    let by_fork = lazaret::sandboxed(&compute(), first).expect("it can be sandboxed");
    let by_spawner = spawner().sandboxed(&compute(), first).expect("it can be sandboxed");
    for decode in [by_fork, by_spawner] {
        let good = decode.call(b"quarantine").expect("the call is made").into_value().expect("it returned");
        let bad = decode.call(b"").expect("the call is made").into_value().expect("it returned");

        assert_eq!(good.expect("a value").to_vec(), b"q");
        assert_eq!(bad.expect_err("an error"), "nothing to decode");
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Size {
    width: u32,
    height: Option<u32>,
    name: String,
}

#[test]
fn types_go_in_and_come_out() {
    let _alone = alone();
    let size = Size { width: 3, height: None, name: "ä".to_owned() };

    for called in called(&compute(), |size: Size| Size { height: Some(size.width), ..size }, &size) {
        let answer = called.into_value().expect("it returned");

        assert_eq!(answer, Size { height: Some(3), ..size.clone() });
    }
}

#[test]
fn a_closure_may_capture_what_it_needs_without_a_spawner() {
    let _alone = alone();
    let key = vec![1_u8, 2, 3];
    let append = lazaret::sandboxed(&compute(), move |input: &[u8]| Ok::<_, ()>([input, &key].concat()));

    let called = append.expect("it can be sandboxed").call(&[0]).expect("the call is made");

    assert_eq!(called.into_value().expect("it returned").expect("a value").to_vec(), [0, 1, 2, 3]);
}

fn turned(input: &[u8], output: &mut lazaret::call::Output) -> Result<(), ()> {
    for chunk in input.chunks(1 << 20) {
        let turned: Vec<u8> = chunk.iter().map(|byte| !byte).collect();
        output.write_all(&turned).map_err(|_full| ())?;
    }
    Ok(())
}

#[test]
fn sixty_four_mebibytes_go_in_and_come_out() {
    let _alone = alone();
    let bytes: Vec<u8> = (0..=250_u8).cycle().take(BULK).collect();
    let expected: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
    // This is not about time: the function is not optimised, and the machine may be busy.
    let policy = lazaret::change(with_limit("wall=200s")).limit("cpu=100s").expect("a good limit").build();
    let by_fork = lazaret::sandboxed_writing(&policy, turned).expect("it can be sandboxed");
    let by_spawner = spawner().sandboxed_writing(&policy, turned).expect("it can be sandboxed");
    for turn in [by_fork, by_spawner] {
        let mut input = turn.input(BULK + 1).expect("there is memory");
        input.write_all(&bytes).expect("it fits");

        let from_slice = turn.call(&bytes).expect("the call is made").into_value().expect("it returned");
        let from_input = turn.call_with(input).expect("the call is made").into_value().expect("it returned");

        assert!(*from_slice.expect("a value") == *expected);
        assert!(*from_input.expect("a value") == *expected);
    }
}

#[test]
fn inputs_of_every_size_around_a_page_and_a_huge_page_arrive() {
    let _alone = alone();
    let by_spawner = spawner().sandboxed_writing(&compute(), turned).expect("it can be sandboxed");
    for size in [0, 1, 4095, 4096, 4097, (2 << 20) - 1, 2 << 20, (2 << 20) + 1] {
        let mut input = by_spawner.input(4 << 20).expect("there is memory");
        input.write_all(&vec![7; size]).expect("it fits");

        let written = by_spawner.call_with(input).expect("the call is made").into_value().expect("it returned");
        let copied = by_spawner.call(&vec![7; size]).expect("the call is made").into_value().expect("it returned");

        assert!(*written.expect("a value") == *vec![!7; size], "{size}");
        assert!(*copied.expect("a value") == *vec![!7; size], "{size}");
    }
}

#[test]
fn an_answer_of_exactly_the_bound_comes_back_and_one_byte_more_does_not() {
    let _alone = alone();
    let policy = with_limit("output=10000");
    let fill = |size: usize| vec![1_u8; size];
    // The codec puts the length of two bytes in front.
    let [by_fork, by_spawner] = both_ways(&policy, fill);
    for function in [by_fork, by_spawner] {
        let whole = function.call(&9998).expect("the call is made").into_value().expect("it returned");

        assert_eq!(whole.len(), 9998);
    }

    assert_eq!(kinds(&endings(&policy, fill, &9999)), ["output-limit"; 2]);
}

#[test]
fn a_panic_comes_back_with_its_message_and_place() {
    let _alone = alone();
    let panics = |number: u32| -> u32 { panic!("number {number} is too much") };

    for ending in endings(&compute(), panics, &7) {
        let Ending::Panicked { message } = ending else { panic!("{ending}") };

        assert!(message.starts_with("number 7 is too much (") && message.contains("answers.rs:"), "{message}");
    }
}

#[test]
fn the_message_of_a_panic_is_bounded() {
    let _alone = alone();
    let panics = |size: usize| -> u32 { panic!("{}", "ä".repeat(size)) };

    for ending in endings(&compute(), panics, &1_000_000) {
        let Ending::Panicked { message } = ending else { panic!("{ending}") };

        assert!((3000..=4096).contains(&message.len()), "{}", message.len());
    }
}

#[test]
fn an_exit_without_an_answer_is_none() {
    let _alone = alone();
    #[expect(clippy::exit, reason = "what the function is to do")]
    let exits = |code: i32| -> u32 { std::process::exit(code) };

    for code in [0, 7] {
        let expected = Ending::NoAnswer { code: u8::try_from(code).expect("small") };
        assert_eq!(endings(&compute(), exits, &code), [expected.clone(), expected]);
    }
}

#[test]
fn garbage_in_place_of_an_answer_is_a_value_of_bytes_and_an_ending_of_types() {
    let _alone = alone();
    // Bytes that are no text, where the caller was promised one.
    let garbage = |_: u32| vec![0xff_u8; 100];
    let raw = spawner().sandboxed_typed::<_, u32, Vec<u8>>(&compute(), garbage).expect("it can be sandboxed");
    let lies = |input: &[u8], output: &mut lazaret::call::Output| -> Result<(), String> {
        output.spare()[..4].copy_from_slice(&[0xff; 4]);
        output.set_len(4);
        if input.is_empty() { Ok(()) } else { Err("own".to_owned()) }
    };
    let lie = spawner().sandboxed_writing(&compute(), lies).expect("it can be sandboxed");

    assert_eq!(raw.call(&0).expect("the call is made").into_value().expect("it returned"), [0xff; 100]);
    let bytes = lie.call(b"").expect("the call is made").into_value().expect("it returned").expect("a value");
    assert_eq!(bytes.to_vec(), [0xff; 4]);
    let own = lie.call(b"x").expect("the call is made").into_value().expect("it returned");
    assert_eq!(own.expect_err("an error"), "own");
}

/// What a function that was taken over leaves where its answer belongs: on the way there, other bytes than the value's.
#[derive(Debug)]
struct Forged<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Forged<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

/// So many elements, which take no bytes.
impl Serialize for Forged<Vec<()>> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(1 << 60)
    }
}

#[derive(Debug, Deserialize)]
enum Chain {
    Link(#[expect(dead_code, reason = "what is in it is of no interest")] Box<Self>),
    End,
}

/// A million times the number of the variant.
impl Serialize for Forged<Chain> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple as _;
        let mut bytes = serializer.serialize_tuple(1_000_000)?;
        for _ in 0..1_000_000 {
            bytes.serialize_element(&0_u8)?;
        }
        bytes.end()
    }
}

#[test]
fn a_few_bytes_that_are_an_endless_vector_do_not_keep_the_caller() {
    let _alone = alone();
    let began = std::time::Instant::now();

    for called in called(&compute(), |_: u32| Forged(Vec::<()>::new()), &0) {
        assert!(matches!(&called.ending, Ending::Garbled { problem } if problem.contains("more values")), "{called:?}");
    }
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[test]
fn an_answer_that_is_a_million_deep_does_not_overflow_the_callers_stack() {
    let _alone = alone();
    for called in called(&compute(), |_: u32| Forged(Chain::End), &0) {
        assert!(matches!(&called.ending, Ending::Garbled { problem } if problem.contains("too deep")), "{called:?}");
    }
}
