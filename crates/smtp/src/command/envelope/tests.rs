//! Arguments of MAIL and RCPT, well-formed and not.

use super::*;

fn grammar() -> Grammar<'static> {
    Grammar { offered: ExtensionSet::of(&Extension::ALL), origin: None, utf8: false }
}

fn read(argument: &str) -> Result<MailArgument, Malformed> {
    mail(argument, &grammar())
}

#[test]
fn the_argument_of_mail_is_a_path_and_known_parameters() {
    let found = read("from: <\"a > b\"@c> BODY=8bitmime size=00100").expect("well-formed");
    assert_eq!(found.reverse_path.to_string(), "\"a > b\"@c");
    assert_eq!((found.size, found.body), (Some(100), BodyKind::EightBitMime));
    assert_eq!(read("FROM:<>").map(|read| read.reverse_path), Ok(ReversePath::Null));
    assert_eq!(read("FROM:a@b").expect("bare").reverse_path.to_string(), "a@b");
    assert_eq!(read("FROM:<a@b> SIZE=99999999999999999999").expect("big").size, Some(u64::MAX));
    let found = read("FROM:<a@b> RET=hdrs ENVID=QQ+2B314 AUTH=<>").expect("well-formed");
    assert_eq!(found.returned, Some(Returned::Headers));
    assert_eq!(found.envelope_id.as_deref(), Some("QQ+2B314"));
    let found = read("FROM:<ü@b> SMTPUTF8 AUTH=e+3Dmc2@example.com").expect("well-formed");
    assert!(found.utf8);
}

#[test]
fn what_mail_does_not_take_is_named_by_kind() {
    for bad in [
        "",
        "FROM",
        "FROM:",
        "TO:<a@b>",
        "FROM:<a@b",
        "FROM:<a@b>x",
        "FROM:<a>",
        "FROM:a@b>",
        "FROM:<a@b> SIZE=",
        "FROM:<a@b> SIZE",
        "FROM:<a@b> SIZE=-1",
        "FROM:<a@b> BODY=BINARY",
        "FROM:<a@b> SIZE=1 SIZE=2",
        "FROM:<a@b> SMTPUTF8=1",
        "FROM:<a@b> RET=ALL",
        "FROM:<a@b> ENVID=",
        "FROM:<a@b> ENVID=a=b",
        "FROM:<a@b> ENVID=a+0D",
        "FROM:<a@b> AUTH=a b",
        "FROM:<a@b> AUTH",
        "FRÖM:<a@b>",
        "FROM:<\"a@b>",
    ] {
        let expected =
            if bad.ends_with("a b") { Malformed::Parameter } else { Malformed::Argument };
        assert_eq!(read(bad), Err(expected), "{bad}");
    }
    assert_eq!(read("FROM:<ä@b>"), Err(Malformed::NotAscii));
    assert_eq!(read("FROM:<a@b> BODY=BINARYMIME"), Err(Malformed::Parameter));
    assert_eq!(read(&format!("FROM:<a@b> ENVID={}", "x".repeat(101))), Err(Malformed::Argument));
}

#[test]
fn a_parameter_that_was_not_offered_is_unknown() {
    let nothing = Grammar { offered: ExtensionSet::EMPTY, ..grammar() };
    for parameter in ["SIZE=1", "BODY=7BIT", "SMTPUTF8", "RET=FULL", "ENVID=a", "AUTH=<>"] {
        let argument = format!("FROM:<a@b> {parameter}");
        assert!(mail(&argument, &grammar()).is_ok(), "{parameter}");
        assert_eq!(mail(&argument, &nothing), Err(Malformed::Parameter), "{parameter}");
    }
    for parameter in ["NOTIFY=NEVER", "ORCPT=rfc822;a@b"] {
        let argument = format!("TO:<a@b> {parameter}");
        assert!(recipient(&argument, &grammar()).is_ok(), "{parameter}");
        assert_eq!(recipient(&argument, &nothing), Err(Malformed::Parameter), "{parameter}");
    }
}

#[test]
fn a_recipient_may_ask_for_reports() {
    let read = |argument: &str| recipient(argument, &Grammar { utf8: true, ..grammar() });
    let (_, request) = read("TO:<a@b> NOTIFY=success,DELAY ORCPT=rfc822;a+2Bb@c").expect("good");
    let expected = Notify { success: true, failure: false, delay: true };
    assert_eq!(request.notify, Some(expected));
    assert_eq!(request.original.as_deref(), Some("rfc822;a+2Bb@c"));
    assert!(read("TO:<a@b> ORCPT=utf-8;ü\\x{E4}@c").is_ok());
    for bad in [
        "TO:<>",
        "TO:<a@b> NOTIFY=",
        "TO:<a@b> NOTIFY=NEVER,DELAY",
        "TO:<a@b> NOTIFY=SUCCESS,",
        "TO:<a@b> ORCPT=a@b",
        "TO:<a@b> ORCPT=;a@b",
        "TO:<a@b> ORCPT=rfc822;",
        "TO:<a@b> ORCPT=rfc822;ü@c",
        "TO:<a@b> ORCPT=rfc822;a+0A",
        "TO:<a@b> ORCPT=x_y;a",
    ] {
        assert_eq!(read(bad), Err(Malformed::Argument), "{bad}");
    }
    let long = format!("TO:<a@b> ORCPT=rfc822;{}", "x".repeat(494));
    assert_eq!(read(&long), Err(Malformed::Argument));
}

#[test]
fn a_domain_is_added_where_the_operator_says_so_and_never_to_the_postmaster() {
    let origin = Domain::parse("ours.example").expect("a domain");
    let local = Grammar { origin: Some(&origin), ..grammar() };
    let (path, _) = recipient("TO:<root>", &local).expect("completed");
    assert_eq!(path.to_string(), "root@ours.example");
    let (path, _) = recipient("TO:<postmaster>", &local).expect("as it is");
    assert_eq!(path, ForwardPath::Postmaster);
    let found = mail("FROM:cron", &local).expect("completed");
    assert_eq!(found.reverse_path.to_string(), "cron@ours.example");
    assert_eq!(recipient("TO:<root>", &grammar()), Err(Malformed::Argument));
}
