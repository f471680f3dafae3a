//! `rustydb demo`: what it prints to be pasted is pasted, and answers real data.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::contract::root;
use crate::harness::credential::Credential;
use crate::harness::rest::send;
use crate::harness::rpc::{Socket, answer};
use crate::harness::server::{ADMIN_PASSWORD, Server, binary};
use crate::harness::watch::{hear, say, socket};

fn demo(folder: &tempfile::TempDir) -> Server {
    let mut command = binary();
    command
        .args(["demo", "--listen", "127.0.0.1:0"])
        .env("RUSTYDB_ADMIN_PASSWORD", ADMIN_PASSWORD);
    Server::spawn(command, folder.path())
}

/// What the demo says after its first line; the last line is the second call of the socket.
fn text(server: &mut Server) -> String {
    let mut text = String::new();
    while !text.contains("\"id\": 2") {
        text += &server.next_line().expect("the examples are told");
        text += "\n";
    }
    text
}

/// Rows of a sample file by column name.
fn sample(name: &str) -> Vec<BTreeMap<String, String>> {
    let path = root().join(format!("test_data/datasets/{name}.csv"));
    csv::Reader::from_path(path)
        .unwrap()
        .deserialize()
        .map(|row| row.unwrap())
        .collect()
}

/// The `curl` commands of a text, each as the words a shell makes of it.
fn commands(text: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    joined
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("curl "))
        .map(words)
        .collect()
}

/// Words of a line that quotes with apostrophes only.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Sends what the command would.
async fn run(words: &[String]) -> Value {
    let (mut headers, mut data, mut url) = (Vec::new(), None, None);
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-s" => {}
            "-H" => headers.push(rest.next().unwrap().split_once(": ").unwrap()),
            "-d" => data = Some(rest.next().unwrap().clone()),
            other if !other.starts_with('-') && url.is_none() => url = Some(other.to_owned()),
            other => panic!("{other} is not understood in {words:?}"),
        }
    }
    let http = reqwest::Client::new();
    let mut request = match data {
        None => http.get(url.unwrap()),
        Some(data) => http.post(url.unwrap()).body(data),
    };
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = send(request).await;
    assert!((200..300).contains(&answer.status), "{words:?}: {answer:?}");
    answer.body
}

/// The five cities with the most flights, counted from the files.
fn busiest() -> Vec<(String, u64)> {
    let cities: BTreeMap<String, String> = sample("airports")
        .into_iter()
        .map(|airport| (airport["iata"].clone(), airport["city"].clone()))
        .collect();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for flight in sample("flights") {
        if let Some(city) = cities.get(&flight["origin"]) {
            *counts.entry(city.clone()).or_default() += 1;
        }
    }
    let mut all: Vec<(String, u64)> = counts.into_iter().collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    all.truncate(5);
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_examples_answer_real_data_as_they_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = demo(&folder);
    let text = text(&mut server);
    let (airports, flights) = (sample("airports"), sample("flights"));
    let loaded = format!("{} rows of airports and flights", airports.len() + flights.len());
    assert!(text.contains(&loaded), "{text}");
    for path in ["/swagger-ui/", "/graphql"] {
        let url = format!("{}{path}", server.base_url);
        assert!(text.contains(&url), "{text}");
        let page = send(reqwest::Client::new().get(url)).await;
        assert!(
            page.headers["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/html"),
            "{path}"
        );
    }
    let commands = commands(&text);
    assert_eq!(commands.len(), 3, "{text}");

    let san_francisco = airports.iter().find(|airport| airport["iata"] == "SFO").unwrap();
    let row = run(&commands[0]).await;
    assert_eq!(row["id"], "SFO");
    assert_eq!(row["data"]["name"], san_francisco["name"].as_str());
    assert_eq!(row["data"]["city"], san_francisco["city"].as_str());

    let top = run(&commands[1]).await;
    let found: Vec<u64> = top["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["flights"].as_u64().unwrap())
        .collect();
    let expected = busiest();
    assert_eq!(
        found,
        expected.iter().map(|(_, count)| *count).collect::<Vec<_>>(),
        "{top}"
    );
    assert_eq!(top["rows"][0]["city"], expected[0].0.as_str());

    let graph = run(&commands[2]).await;
    assert_eq!(graph["data"]["databaseCountRows"]["count"], flights.len());
    assert_eq!(
        graph["data"]["databaseRow"]["data"]["city"],
        san_francisco["city"].as_str()
    );

    let frames: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("{\"jsonrpc\""))
        .collect();
    assert_eq!(frames.len(), 2, "{text}");
    assert!(
        text.contains(&format!("ws://{}/api/v1/ws", server.address())),
        "{text}"
    );
    let mut socket = Socket::open(server.address(), &Credential::Nobody).await.unwrap();
    let mut answers = Vec::new();
    for frame in frames {
        socket.send_text(frame).await;
        answers.push(answer(&socket.receive().await.unwrap()).unwrap());
    }
    assert_eq!(answers[0]["username"], "admin");
    assert_eq!(answers[1], row, "the same row as by REST");
    let (status, rest) = tokio::task::spawn_blocking(|| server.terminate()).await.unwrap();
    assert_eq!((status.code(), rest.trim()), (Some(0), ""));
}

/// The commands are for a shell: it understands them as the test above does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_commands_are_good_in_a_shell() {
    let folder = tempfile::tempdir().unwrap();
    let text = text(&mut demo(&folder));
    let joined = text.replace("\\\n", " ");
    for line in joined
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("curl "))
    {
        let told = line.replacen("curl", "printf '%s\\n'", 1);
        let output = std::process::Command::new("sh")
            .args(["-c", &told])
            .output()
            .unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            output.lines().collect::<Vec<_>>(),
            words(line)[1..].iter().collect::<Vec<_>>(),
            "{line}"
        );
    }
}

/// Data that are kept are loaded once, and a demo without a folder leaves none behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_keeps_its_data_where_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("kept");
    let rows = sample("airports").len() + sample("flights").len();
    for _ in 0..2 {
        let mut command = binary();
        command
            .args(["demo", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&data)
            .env("RUSTYDB_ADMIN_PASSWORD", ADMIN_PASSWORD)
            .env("TMPDIR", folder.path());
        let mut server = Server::spawn(command, folder.path());
        assert!(text(&mut server).contains(&format!("{rows} rows")));
        let login = json!({"username": "admin", "password": ADMIN_PASSWORD});
        let request = reqwest::Client::new()
            .post(format!("{}/api/v1/auth/login", server.base_url))
            .json(&login);
        assert_eq!(send(request).await.status, 200);
        tokio::task::spawn_blocking(|| server.terminate()).await.unwrap();
    }
    let mut command = binary();
    command
        .args(["demo", "--listen", "127.0.0.1:0"])
        .env_remove("RUSTYDB_ADMIN_PASSWORD")
        .env("TMPDIR", folder.path());
    let before = std::fs::read_dir(folder.path()).unwrap().count();
    let mut server = Server::spawn(command, folder.path());
    text(&mut server);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        before + 1,
        "the data lie in a temporary folder"
    );
    tokio::task::spawn_blocking(|| server.terminate()).await.unwrap();
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        before,
        "which goes with the server"
    );
}

/// The transcripts in the README: blocks without a language.
fn transcripts() -> String {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut transcripts = String::new();
    let mut lines = text.lines();
    while let Some(fence) = lines.find(|line| line.starts_with("```")) {
        for line in lines.by_ref().take_while(|line| *line != "```") {
            if fence == "```" {
                transcripts += line;
                transcripts += "\n";
            }
        }
    }
    transcripts
}

/// One thing said or told in a transcript; what is indented goes on with the line before.
fn turns(transcripts: &str) -> Vec<String> {
    let mut turns: Vec<String> = Vec::new();
    for line in transcripts.replace("\\\n", " ").lines() {
        match turns.last_mut() {
            Some(turn) if line.starts_with(' ') => turn.push_str(line.trim_start()),
            _ if line.is_empty() => {}
            _ => turns.push(line.to_owned()),
        }
    }
    turns
}

/// Whether a transcript tells what came: `...` stands for further members; times, cursors and the ids of
/// subscriptions are those of another day.
fn tells(told: &Value, came: &Value) -> bool {
    let (Value::Object(told), Value::Object(came)) = (told, came) else {
        return told == came;
    };
    let is_whole = !told.contains_key("...");
    (!is_whole || told.len() == came.len())
        && told
            .iter()
            .filter(|(name, _)| *name != "...")
            .all(|(name, value)| {
                let other = &came[name];
                match name.as_str() {
                    "cursor" | "timestamp" | "subscription" => value.is_string() && other.is_string(),
                    _ => tells(value, other),
                }
            })
}

fn assert_tells(turn: &str, came: &Value) {
    let told = serde_json::from_str(&turn.replace(", ...", ", \"...\": true")).unwrap();
    assert!(tells(&told, came), "{came} came instead of\n{turn}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_is_as_the_readme_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = demo(&folder);
    let text = text(&mut server);
    let key = text
        .split("X-API-Key: ")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    let credential = Credential::ApiKey(key.to_owned());
    let opened = |path, protocol| socket(server.address(), path, Some(protocol), &credential);
    let mut rpc = opened("/api/v1/ws", "rustydb.json").await.unwrap();
    let mut graphql = opened("/graphql", "graphql-transport-ws").await.unwrap();
    say(&mut graphql, &json!({"type": "connection_init"})).await;
    assert_eq!(hear(&mut graphql).await.unwrap()["type"], "connection_ack");

    let turns = turns(&transcripts());
    assert!(turns.len() >= 13, "{turns:#?}");
    let mut answer = Value::Null;
    for turn in &turns {
        let socket = if turn.contains("\"jsonrpc\"") {
            &mut rpc
        } else {
            &mut graphql
        };
        match turn.split_at(2) {
            ("$ ", command) => {
                let command = command
                    .replace("rustydb_...", key)
                    .replace("http://127.0.0.1:8080", &server.base_url);
                answer = run(&words(&command)).await;
            }
            ("> ", message) => say(socket, &serde_json::from_str(message).unwrap()).await,
            ("< ", message) => assert_tells(message, &hear(socket).await.unwrap()),
            _ => assert_tells(turn, &answer),
        }
    }
}
