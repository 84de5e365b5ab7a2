use super::*;
use proptest::prelude::*;

fn name(text: &str) -> Name {
    match Host::parse(text) {
        Ok(Host::Name(name)) => name,
        other => panic!("{other:?}"),
    }
}

/// The bytes of a question, without EDNS.
fn asking(text: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(hickory_proto::rr::Name::from_ascii(text).expect("a name"), kind));
    message
}

fn read(message: &Message) -> Question {
    Question::read(&message.to_vec().expect("it can be encoded")).expect("a question")
}

fn answer(question: &Question, told: Told<'_>, transport: Transport) -> Message {
    Message::from_vec(&question.answer(told, transport).expect("it can be encoded")).expect("an answer")
}

#[test]
fn a_question_is_read_and_answered_with_addresses_of_its_kind() {
    let addresses: Vec<IpAddr> =
        ["192.0.2.1", "2001:db8::1"].map(|address| address.parse().expect("an address")).to_vec();
    let question = read(&asking("Images.EXAMPLE.com.", RecordType::AAAA));

    let answer = answer(&question, Told::Addresses(&addresses, 30), Transport::Udp);

    assert_eq!((question.name.clone(), question.wants), (Some(name("images.example.com")), Wants::V6));
    assert_eq!((answer.metadata.id, answer.metadata.response_code), (4711, ResponseCode::NoError));
    assert_eq!(answer.queries[0].name().to_ascii(), "Images.EXAMPLE.com.", "as it was asked");
    let found: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
    assert_eq!((found, answer.answers[0].ttl), (vec!["2001:db8::1".to_owned()], 30));
}

#[test]
fn a_name_that_is_not_there_and_one_that_nobody_could_look_up_are_told_apart() {
    let question = read(&asking("evil.example.", RecordType::A));

    let codes = [Told::NoName, Told::Failed].map(|told| answer(&question, told, Transport::Tcp).metadata.response_code);

    assert_eq!(codes, [ResponseCode::NXDomain, ResponseCode::ServFail]);
}

#[test]
fn records_of_other_kinds_are_none() {
    let addresses = ["192.0.2.1".parse().expect("an address")];
    for kind in [RecordType::TXT, RecordType::MX, RecordType::SRV, RecordType::HTTPS, RecordType::ANY, RecordType::NS] {
        let question = read(&asking("images.example.com.", kind));

        let answer = answer(&question, Told::Addresses(&addresses, 30), Transport::Udp);

        assert_eq!((question.wants, answer.answers.len()), (Wants::Other, 0), "{kind}");
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    }
}

#[test]
fn a_name_that_no_host_has_is_none() {
    let labels: [&[&[u8]]; 5] =
        [&[b"1", b"2", b"3", b"4"], &[b"\0", b"example"], &[b"a b", b"example"], &[b"a.b", b"example"], &[]];
    for labels in labels {
        let mut message = asking("x.", RecordType::A);
        let name = hickory_proto::rr::Name::from_labels(labels.iter().copied()).expect("a name");
        message.queries[0].set_name(name);

        assert_eq!(read(&message).name, None, "{labels:?}");
    }
}

#[test]
fn an_answer_that_does_not_fit_a_datagram_says_so_and_fits_a_stream() {
    let addresses: Vec<IpAddr> = (0..100).map(|last| IpAddr::from([192, 0, 2, last])).collect();
    let plain = read(&asking("many.example.com.", RecordType::A));
    let mut roomy = asking("many.example.com.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(65_000);
    roomy.set_edns(edns);
    let roomy = read(&roomy);
    let told = Told::Addresses(&addresses, 30);

    let cut = answer(&plain, told, Transport::Udp);
    let whole = [answer(&plain, told, Transport::Tcp), answer(&roomy, told, Transport::Udp)];

    assert!(cut.metadata.truncation && cut.answers.is_empty());
    assert_eq!(whole.each_ref().map(|answer| (answer.metadata.truncation, answer.answers.len())), [(false, 100); 2]);
    assert!(whole[1].edns.is_some(), "who speaks it is answered in it");
}

#[test]
fn what_is_no_question_is_refused_and_an_answer_is_never_answered() {
    let mut two = asking("a.example.", RecordType::A);
    two.add_query(two.queries[0].clone());
    let mut chaos = asking("version.bind.", RecordType::TXT);
    chaos.queries[0].set_query_class(DNSClass::CH);
    let update = Message::new(1, MessageType::Query, OpCode::Update);
    let code = |message: &Message| {
        let refused = Question::read(&message.to_vec().expect("it can be encoded")).expect_err("no question");
        Message::from_vec(&refused.expect("an answer")).expect("a message").metadata.response_code
    };

    assert_eq!(
        [code(&two), code(&chaos), code(&update)],
        [ResponseCode::FormErr, ResponseCode::FormErr, ResponseCode::NotImp]
    );
    let response = Message::response(1, OpCode::Query).to_vec().expect("it can be encoded");
    assert_eq!(Question::read(&response), Err(None));
    assert_eq!(Question::read(&[0xff; 3]), Err(None));
    assert_eq!(Question::read(&[]), Err(None));
}

#[test]
fn an_answer_counts_through_aliases_and_for_its_own_question_alone() {
    let asked = Asked::new(&name("images.example.com"), Wants::V4).expect("a question");
    let own = hickory_proto::rr::Name::from_ascii("images.example.com.").expect("a name");
    let alias = hickory_proto::rr::Name::from_ascii("cdn.example.net.").expect("a name");
    let other = hickory_proto::rr::Name::from_ascii("elsewhere.example.").expect("a name");
    let a = |name: &hickory_proto::rr::Name, last| {
        Record::from_rdata(name.clone(), 60, RData::A(rdata::A::new(192, 0, 2, last)))
    };
    let mut answer = asked.message.clone();
    answer.metadata.message_type = MessageType::Response;
    answer.add_answers([
        Record::from_rdata(own, 20, RData::CNAME(rdata::CNAME(alias.clone()))),
        a(&alias, 1),
        a(&other, 2),
        a(&alias, 3),
    ]);
    let mut forged = answer.clone();
    forged.metadata.id = forged.metadata.id.wrapping_add(1);
    let mut elsewhere = answer.clone();
    elsewhere.queries[0].set_name(other);

    let said = [&answer, &forged, &elsewhere].map(|message| asked.read(&message.to_vec().expect("it can be encoded")));

    let addresses = [1, 3].map(|last| IpAddr::from([192, 0, 2, last])).to_vec();
    assert_eq!(said, [Some(Said::Addresses(addresses, 20)), None, None]);
}

#[test]
fn aliases_in_a_circle_end() {
    let asked = Asked::new(&name("a.example"), Wants::V4).expect("a question");
    let [a, b] = ["a.example.", "b.example."].map(|text| hickory_proto::rr::Name::from_ascii(text).expect("a name"));
    let mut answer = asked.message.clone();
    answer.metadata.message_type = MessageType::Response;
    let alias = |from: &hickory_proto::rr::Name, to: &hickory_proto::rr::Name| {
        Record::from_rdata(from.clone(), 20, RData::CNAME(rdata::CNAME(to.clone())))
    };
    answer.add_answers([alias(&a, &b), alias(&b, &a)]);

    let said = asked.read(&answer.to_vec().expect("it can be encoded"));

    assert_eq!(said, Some(Said::Addresses(Vec::new(), 0)));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_fail(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(question) = Question::read(&bytes) {
            for transport in [Transport::Udp, Transport::Tcp] {
                prop_assert!(question.answer(Told::NoName, transport).is_ok());
            }
        }
    }

    #[test]
    fn nor_do_changed_bytes_of_a_question(at in 0_usize..40, byte in any::<u8>()) {
        let mut bytes = asking("images.example.com.", RecordType::A).to_vec().expect("it can be encoded");
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(question) = Question::read(&bytes) {
            let answer = question.answer(Told::Addresses(&["192.0.2.1".parse().expect("an address")], 1), Transport::Udp);
            prop_assert!(answer.is_ok_and(|bytes| bytes.len() <= 512));
        }
    }
}
