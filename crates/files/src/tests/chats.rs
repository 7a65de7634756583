use super::{file, read_all, read_with, scanned};
use crate::{FileKind, ImportError, Limits, Passage};

const LONG: &str = "I would like to know how one keeps tomatoes alive on a balcony that gets no sun before noon and far too \
    much wind after it, please.";

fn texts(passages: &[Passage]) -> Vec<&str> {
    passages.iter().map(|passage| passage.text.trim()).collect()
}

#[test]
fn chatgpt_follows_the_thread_last_seen() {
    let export = format!(
        r#"[{{"title":"Tomatoes","create_time":1700000000.5,"mapping":{{
          "root":{{"id":"root","message":null,"parent":null,"children":["s"]}},
          "s":{{"id":"s","parent":"root","message":{{"author":{{"role":"system"}},"content":{{"content_type":"text","parts":["be kind"]}}}}}},
          "old":{{"id":"old","parent":"s","message":{{"author":{{"role":"user"}},"create_time":1.0,"content":{{"parts":["an edited question of mine"]}}}}}},
          "q":{{"id":"q","parent":"s","message":{{"author":{{"role":"user","name":null}},"create_time":1700000000.5,"content":{{"content_type":"text","parts":["{LONG}"]}}}}}},
          "a":{{"id":"a","parent":"q","message":{{"author":{{"role":"assistant"}},"create_time":1700000001,"content":{{"parts":["Use a pot."]}}}}}},
          "q2":{{"id":"q2","parent":"a","message":{{"author":{{"role":"user"}},"content":{{"content_type":"multimodal_text","parts":[{{"asset_pointer":"x"}},"What size of pot?"]}}}}}}
        }},"current_node":"q2"}}]"#
    );
    let file = file("conversations.json", export);
    let scan = scanned(&file).expect("an export");
    let people: Vec<_> = scan
        .participants
        .iter()
        .map(|p| (p.key.as_str(), p.messages))
        .collect();
    assert_eq!(
        people,
        [("user", 2), ("assistant", 1)],
        "instructions are nobody's words"
    );
    let (passages, counts) = read_all(&file, &["user"]).expect("an export");
    assert_eq!(
        texts(&passages),
        [LONG, "What size of pot?"],
        "the edited question is on another branch"
    );
    assert_eq!(passages[0].title.as_deref(), Some("Tomatoes"));
    assert_eq!(passages[0].date.as_deref(), Some("2023-11-14T22:13:20Z"));
    assert_eq!(
        (passages[0].prompt.as_deref(), passages[1].prompt.as_deref()),
        (None, Some("Use a pot."))
    );
    assert_eq!(counts.other_people, 1);
}

#[test]
fn a_tree_that_bites_its_tail_ends() {
    let export = r#"[{"mapping":{"a":{"parent":"b","message":{"author":{"role":"user"},"content":{"parts":["round and round again"]}}},
        "b":{"parent":"a"}},"current_node":"a"}]"#;
    let (passages, _) = read_all(&file("c.json", export), &["user"]).expect("an export");
    assert_eq!(texts(&passages), ["round and round again"]);
}

#[test]
fn claude_export() {
    let export = format!(
        r#"[{{"uuid":"1","name":"Balcony","chat_messages":[
          {{"uuid":"2","text":"","content":[{{"type":"text","text":"{LONG}"}}],"sender":"human","created_at":"2024-02-03T04:05:06.000000Z"}},
          {{"uuid":"3","text":"Use a pot.","sender":"assistant"}}]}}]"#
    );
    let (passages, counts) = read_all(&file("c.json", export), &["human"]).expect("an export");
    assert_eq!(texts(&passages), [LONG], "text may stand in blocks");
    assert_eq!(passages[0].title.as_deref(), Some("Balcony"));
    assert_eq!(
        passages[0].date.as_deref(),
        Some("2024-02-03T04:05:06.000000Z")
    );
    assert_eq!(counts.other_people, 1);
}

#[test]
fn telegram_export_with_parts_and_notices() {
    let export = r#"{"chats":{"list":[{"name":"Ana","type":"personal_chat","messages":[
        {"id":1,"type":"service","actor":"Tom","action":"join","text":""},
        {"id":2,"type":"message","date":"2024-02-03T04:05:06","date_unixtime":"1706929506","from":"Ana","from_id":"user1","text":"Where are you?"},
        {"id":3,"type":"message","from":"Tom","from_id":"user2","text":["Still at ",{"type":"link","text":"the office"}," I fear"]},
        {"id":4,"type":"message","from":"Tom","from_id":"user2","text":"but leaving soon"}]},
        {"name":"Bo","messages":[{"from":"Tom","text":"another talk here"}]}]}}"#;
    let (passages, counts) = read_all(&file("result.json", export), &["Tom"]).expect("an export");
    assert_eq!(
        texts(&passages),
        [
            "Still at the office I fear\nbut leaving soon",
            "another talk here"
        ],
        "a run of messages is one passage; conversations stay apart"
    );
    assert_eq!(passages[0].prompt.as_deref(), Some("Where are you?"));
    assert_eq!(
        (passages[0].title.as_deref(), passages[1].title.as_deref()),
        (Some("Ana"), Some("Bo"))
    );
    assert_eq!(counts.other_people, 1, "notices are no messages");
}

#[test]
fn slack_discord_and_messenger_exports() {
    let slack = r#"[{"type":"message","subtype":"channel_join","user":"U1","text":"<@U1> has joined"},
        {"type":"message","user":"U1","ts":"1700000000.000100","text":"see <https://a.example|the plan> &amp; comment","user_profile":{"real_name":"Tom Reed"}}]"#;
    let slack = file("2024-01-01.json", slack);
    let people = scanned(&slack).expect("an export").participants;
    assert_eq!(
        (people[0].key.as_str(), people[0].display.as_str()),
        ("U1", "Tom Reed")
    );
    assert_eq!(
        texts(&read_all(&slack, &["u1"]).expect("an export").0),
        ["see the plan & comment"]
    );

    let discord = r#"{"guild":{"name":"G"},"channel":{"name":"c"},"messages":[{"timestamp":"2024-01-01T10:00:00+00:00","content":"hello to you all","author":{"id":"9","name":"tom","nickname":"Tom R"}}]}"#;
    assert_eq!(
        texts(
            &read_all(&file("d.json", discord), &["Tom R"])
                .expect("an export")
                .0
        ),
        ["hello to you all"]
    );

    let messenger = r#"{"participants":[{"name":"Tom"}],"title":"Ana","messages":[
        {"sender_name":"Ana","timestamp_ms":1700000009000,"content":"later answer"},
        {"sender_name":"Tom","timestamp_ms":1700000000000,"content":"the caf\u00c3\u00a9 is open"}]}"#;
    let (passages, _) = read_all(&file("m.json", messenger), &["Tom"]).expect("an export");
    assert_eq!(
        texts(&passages),
        ["the café is open"],
        "bytes written as characters are put right"
    );
    assert_eq!(
        passages[0].prompt, None,
        "what was written later is not what was answered"
    );
}

#[test]
fn plain_lists_and_one_value_a_line() {
    let list = r#"[{"role":"user","content":"where is the key"},{"role":"assistant","content":"under the mat"},{"role":"user","content":"no it is not"}]"#;
    let lines = list.trim_matches(['[', ']']).replace("},{", "}\n{");
    for (name, text) in [("chat.json", list), ("chat.jsonl", &lines), ("chat", list)] {
        let (passages, counts) = read_all(&file(name, text), &["user"]).expect("a chat");
        assert_eq!(
            texts(&passages),
            ["where is the key\n\nno it is not"],
            "{name}: short turns are pooled"
        );
        assert_eq!(
            (passages[0].prompt.as_deref(), counts.other_people),
            (None, 1),
            "{name}"
        );
    }
    let conversations = "{\"messages\":[{\"role\":\"user\",\"content\":\"first talk of two\"}]}\n{\"messages\":[{\"role\":\"user\",\"content\":\"second talk of two\"}]}\n";
    let (passages, _) = read_all(&file("talks.jsonl", conversations), &["user"]).expect("a chat");
    assert_eq!(
        texts(&passages),
        ["first talk of two", "second talk of two"],
        "each line is a conversation"
    );
    let utf16: Vec<u8> = list.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(
        read_all(&file("wide.json", utf16), &["user"])
            .expect("a chat")
            .0
            .len(),
        1,
        "UTF-16 is read too"
    );
}

#[test]
fn a_phone_s_text_export() {
    let log = "12/03/24, 10:15 - Ana: shall we go?\n12/03/24, 10:16 - Tom: yes, at six\n12/03/24, 10:16 - Tom: by the gate\n";
    let (passages, counts) = read_all(&file("WhatsApp Chat.txt", log), &["Tom"]).expect("a chat");
    assert_eq!(texts(&passages), ["yes, at six\nby the gate"]);
    assert_eq!(
        (passages[0].kind, passages[0].prompt.as_deref()),
        (FileKind::ChatLog, Some("shall we go?"))
    );
    assert_eq!(counts.other_people, 1);
}

#[test]
fn json_that_is_damaged_or_no_chat_is_refused() {
    let refused = |text: &str| scanned(&file("x.json", text)).expect_err("not a chat");
    assert!(matches!(
        refused(r#"[{"role":"user","content":"cut in the mid"#),
        ImportError::Corrupt { .. }
    ));
    assert!(
        matches!(
            refused(r#"{"a":[1,2,3],"b":{"c":null}}"#),
            ImportError::Empty
        ),
        "no messages in it"
    );
    assert!(
        matches!(refused(&"[".repeat(100_000)), ImportError::Corrupt { .. }),
        "nesting is bounded"
    );
    let deep = format!(r#"{{"role":"user","content":{}"#, "[".repeat(100_000));
    assert!(
        matches!(refused(&deep), ImportError::Corrupt { .. }),
        "nesting within a field is bounded"
    );
}

#[test]
fn one_endless_message_is_refused() {
    let export = format!(
        r#"[{{"role":"user","content":"{}"}}]"#,
        "word ".repeat(100_000)
    );
    let limits = Limits {
        max_message_bytes: 100_000,
        ..Limits::default()
    };
    let refused = read_with(&file("x.json", export), &["user"], &limits);
    assert!(
        matches!(&refused, Err(ImportError::Corrupt { why, .. }) if why.contains("too long")),
        "{refused:?}"
    );
}
