use super::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    One(Box<Self>),
    Two(Box<Self>, Box<Self>),
    Named { below: Option<Box<Self>> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Honest {
    name: String,
    numbers: Vec<u64>,
    by_name: BTreeMap<String, (f64, char)>,
    tree: Tree,
    nothing: Vec<()>,
    wide: i128,
    unit: (),
    result: Result<bool, String>,
    bytes: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Node {
    next: Option<Box<Self>>,
}

#[derive(Debug, Deserialize)]
struct Unit;

/// A number as the format has it.
fn number(value: u64) -> Vec<u8> {
    postcard::to_allocvec(&value).expect("a number can be encoded")
}

#[test]
fn honest_values_come_back_as_they_were() {
    let honest = Honest {
        name: "ümläut".to_owned(),
        numbers: (0..10_000).collect(),
        by_name: BTreeMap::from([("a".to_owned(), (0.5, 'x')), ("b".to_owned(), (-1.0, '\u{2026}'))]),
        tree: Tree::Two(
            Box::new(Tree::One(Box::new(Tree::Leaf))),
            Box::new(Tree::Named { below: Some(Box::new(Tree::Leaf)) }),
        ),
        nothing: vec![(); 50_000],
        wide: i128::MIN,
        unit: (),
        result: Err("own".to_owned()),
        bytes: vec![7; 1 << 20],
    };

    let back: Result<Honest, String> = decode(&postcard::to_allocvec(&honest).expect("it can be encoded"));

    assert_eq!(back.as_ref(), Ok(&honest));
}

#[test]
fn a_vector_of_2_to_60_values_of_no_size_is_refused_at_once() {
    let bytes = number(1 << 60);
    let began = Instant::now();

    let units: Result<Vec<()>, _> = decode(&bytes);
    let structs: Result<Vec<Unit>, _> = decode(&bytes);
    let arrays: Result<Vec<[u64; 0]>, _> = decode(&bytes);
    let nested: Result<Vec<[[(); 8]; 2]>, _> = decode(&bytes);

    let messages = [units.err(), structs.err(), arrays.err(), nested.err()];
    assert!(messages.iter().all(|m| m.as_deref().is_some_and(|m| m.contains("more values"))), "{messages:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_map_of_2_to_60_entries_of_no_size_is_refused_at_once() {
    let found: Result<BTreeMap<(), ()>, _> = decode(&number(1 << 60));

    assert!(found.as_ref().is_err_and(|message| message.contains("more values")), "{found:?}");
}

#[test]
fn work_is_bounded_by_the_bytes_of_the_answer_and_not_by_what_they_say() {
    // Vectors in vectors: each byte that is there says that there are very many.
    let bytes = [number(1 << 60), number(1 << 60), number(1 << 60)].concat();

    let found: Result<Vec<Vec<Vec<()>>>, _> = decode(&bytes);

    assert!(found.as_ref().is_err_and(|message| message.contains("more values")), "{:?}", found.map(|v| v.len()));
}

#[test]
fn values_that_lie_a_million_deep_are_refused_on_a_small_stack() {
    let deep = |byte: u8| vec![byte; 1_000_000];
    let on_a_small_stack = move || {
        let named: Vec<u8> = [3_u8, 1].repeat(500_000);
        let trees: Vec<Result<Tree, String>> = vec![decode(&deep(1)), decode(&deep(2)), decode(&named)];
        let list: Result<Node, String> = decode(&deep(1));
        (trees, list)
    };

    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(on_a_small_stack);
    let (trees, list) = thread.expect("a thread").join().expect("its stack suffices");

    assert!(trees.iter().all(|tree| tree.as_ref().is_err_and(|m| m.contains("too deep"))), "{trees:?}");
    assert!(list.as_ref().is_err_and(|m| m.contains("too deep")), "{list:?}");
}

#[test]
fn a_hundred_levels_are_no_matter_and_levels_beside_each_other_are_not_added() {
    let deep = |levels| (0..levels).fold(Tree::Leaf, |tree, _| Tree::One(Box::new(tree)));
    let list = (0..100).fold(Node { next: None }, |next, _| Node { next: Some(Box::new(next)) });

    let many: Vec<Tree> = (0..100).map(|_| deep(100)).collect();
    let back: Result<Vec<Tree>, _> = decode(&postcard::to_allocvec(&many).expect("it can be encoded"));
    let nodes: Result<Node, _> = decode(&postcard::to_allocvec(&list).expect("it can be encoded"));

    assert_eq!(back.as_ref(), Ok(&many));
    assert_eq!(nodes, Ok(list));
}

#[test]
fn more_than_a_value_and_less_than_one_are_refused() {
    assert_eq!(decode::<u8>(&[1, 2]), Err("there is more than a value".to_owned()));
    assert!(decode::<u8>(&[]).is_err());
    assert!(decode::<Vec<u8>>(&number(1 << 60)).is_err());
}
