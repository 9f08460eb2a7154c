#include "data/record.h"

#include "finer/core/error.h"
#include "tests/data/scratch.h"

namespace finer::data {

namespace {

std::string fault(std::string_view json, int64_t index = 0) {
  return thrown<DataError>([&] { parse_sample(json, index); });
}

const std::string kTurns = R"("conversations": [{"from": "human", "value": "What is it?"},
                              {"from": "gpt", "value": "A wren."}])";
const std::string kImageTurns = R"("conversations": [{"from": "human", "value": "<image>\nWhat?"},
                              {"from": "gpt", "value": "A wren."}])";

}  // namespace

TEST_CASE("a LLaVA record is read with its picture and its turns", "[data]") {
  const Sample sample =
      parse_sample(R"({"id": "a1", "image": "birds/1.jpg", "model": "x", )" + kImageTurns + "}", 5);
  CHECK(sample.id == "a1");
  CHECK_FALSE(sample.id_is_number);
  REQUIRE(sample.image.has_value());
  CHECK(*sample.image == "birds/1.jpg");
  REQUIRE(sample.turns.size() == 2);
  CHECK(sample.turns[0].from == "human");
  CHECK(sample.turns[0].value == "<image>\nWhat?");
  CHECK(sample.turns[1].from == "gpt");
  CHECK(sample.turns[1].value == "A wren.");
}

TEST_CASE("ids may be text, numbers or missing", "[data]") {
  CHECK(parse_sample(R"({"id": 7, )" + kTurns + "}", 5).id == "7");
  CHECK(parse_sample(R"({"id": 7, )" + kTurns + "}", 5).id_is_number);
  CHECK(parse_sample(R"({"id": 18446744073709551615, )" + kTurns + "}", 5).id ==
        "18446744073709551615");
  CHECK(parse_sample("{" + kTurns + "}", 5).id == "5");
  CHECK(parse_sample(R"({"id": null, )" + kTurns + "}", 5).id == "5");
  CHECK(fault(R"({"id": [1], )" + kTurns + "}") == "id is an array; expected a string or a number");
  CHECK(fault(R"({"id": true, )" + kTurns + "}") ==
        "id is a boolean; expected a string or a number");
}

TEST_CASE("a picture may be null, a path, or a list of one path", "[data]") {
  CHECK_FALSE(parse_sample(R"({"image": null, )" + kTurns + "}", 0).image.has_value());
  CHECK_FALSE(parse_sample(R"({"image": [], )" + kTurns + "}", 0).image.has_value());
  CHECK(parse_sample(R"({"image": ["a.jpg"], )" + kImageTurns + "}", 0).image == "a.jpg");
  CHECK(parse_sample(R"({"images": ["a.jpg"], )" + kImageTurns + "}", 0).image == "a.jpg");
  CHECK(fault(R"({"image": ["a", "b"], )" + kImageTurns + "}") ==
        "image holds 2 pictures; expected one (LLaVA-1.5 sees one picture a conversation)");
  CHECK(fault(R"({"image": 3, )" + kImageTurns + "}") ==
        "image is a number; expected a path or null");
  CHECK(fault(R"({"image": [3], )" + kImageTurns + "}") ==
        "image[0] is a number; expected a path or null");
  CHECK(fault(R"({"image": "a", "images": ["b"], )" + kImageTurns + "}") ==
        "image and images name different pictures");
}

TEST_CASE("the mark and the picture go together", "[data]") {
  CHECK(fault(R"({"image": "a.jpg", )" + kTurns + "}") ==
        "has the picture \"a.jpg\" but no <image> in its conversation");
  CHECK(fault("{" + kImageTurns + "}") == "has <image> in its conversation but no picture");
  CHECK(fault(R"({"image": "a.jpg", "conversations": [{"from": "human", "value": "<image>"},
        {"from": "gpt", "value": "<image>"}]})") ==
        "has <image> in 2 turns; expected one, where the picture is");
}

TEST_CASE("chat messages and the other role names are read", "[data]") {
  const Sample chat = parse_sample(
      R"({"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]})",
      0);
  REQUIRE(chat.turns.size() == 2);
  CHECK(chat.turns[0].from == "human");
  CHECK(chat.turns[1].from == "gpt");
  const Sample share = parse_sample(
      R"({"conversations": [{"from": "user", "value": "Q"}, {"from": "assistant", "value": "A"}]})",
      0);
  CHECK(share.turns[0].from == "human");
  CHECK(share.turns[1].value == "A");
  const Sample mixed = parse_sample(
      R"({"conversations": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]})",
      0);
  CHECK(mixed.turns[0].value == "Q");
}

TEST_CASE("content lists become the mark and the text", "[data]") {
  const Sample sample = parse_sample(
      R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "What "},
          {"type": "image_url", "image_url": {"url": "b/1.jpg"}}, {"type": "text", "text": "is it?"}]},
          {"role": "assistant", "content": [{"type": "text", "text": "A wren."}]}]})",
      0);
  CHECK(sample.image == "b/1.jpg");
  CHECK(sample.turns[0].value == "<image>\nWhat is it?");
  CHECK(sample.turns[1].value == "A wren.");
  const auto with_content = [](const std::string& content) {
    return R"({"image": "a.jpg", "messages": [{"role": "user", "content": )" + content +
           R"(}, {"role": "assistant", "content": "A"}]})";
  };
  CHECK(parse_sample(with_content(R"([{"type": "image"}])"), 0).turns[0].value == "<image>\n");
  CHECK(fault(with_content(R"([{"type": "image", "image": "b.jpg"}])")) ==
        "names more than one picture (\"a.jpg\", \"b.jpg\"); expected one (LLaVA-1.5 sees one "
        "picture a conversation)");
  CHECK(fault(with_content(R"([{"type": "video"}])")) ==
        "messages[0].content[0].type is \"video\"; expected one of text, image, image_url");
  CHECK(fault(with_content(R"([{"type": "text"}])")) == "messages[0].content[0].text is missing");
  CHECK(fault(with_content(R"([{"text": "x"}])")) == "messages[0].content[0].type is missing");
  CHECK(fault(with_content(R"(["x"])")) ==
        "messages[0].content[0] is a string; expected an object");
  CHECK(
      fault(with_content(R"([{"type": "image_url", "image_url": {"url": "https://a/b.jpg"}}])")) ==
      "messages[0].content[0].image_url.url is \"https://a/b.jpg\"; expected the path of a file "
      "under the images "
      "folder");
  CHECK(fault(with_content(R"([{"type": "image_url", "image_url": {}}])")) ==
        "messages[0].content[0].image_url.url is missing");
}

TEST_CASE("a conversation may begin with an answer, or be nothing else", "[data]") {
  const Sample sample = parse_sample(R"({"conversations": [{"from": "gpt", "value": "Hello."},
      {"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]})",
                                     0);
  REQUIRE(sample.turns.size() == 3);
  CHECK(sample.turns[0].from == "gpt");
  CHECK(parse_sample(R"({"conversations": [{"from": "gpt", "value": "A"}]})", 0).turns.size() == 1);
}

TEST_CASE("faults in turns are named by their place", "[data]") {
  const auto turns = [](const std::string& list) {
    return fault(R"({"conversations": )" + list + "}");
  };
  CHECK(fault("{}") == "conversations is missing");
  CHECK(turns("3") == "conversations is a number; expected an array of turns");
  CHECK(turns("{}") == "conversations is an object; expected an array of turns");
  CHECK(turns("[]") == "conversations is empty; expected a question and an answer");
  CHECK(turns("[null]") == "conversations[0] is null; expected an object");
  CHECK(turns(R"([{"value": "Q"}])") == "conversations[0].from is missing");
  CHECK(turns(R"([{"from": "human", "value": "Q"}, {"from": "gpt"}])") ==
        "conversations[1].value is missing");
  CHECK(turns(R"([{"from": "human", "value": null}])") ==
        "conversations[0].value is null; expected a string");
  CHECK(turns(R"([{"from": 1, "value": "Q"}])") ==
        "conversations[0].from is a number; expected a string");
  CHECK(turns(R"([{"from": "humna", "value": "Q"}])") ==
        "conversations[0].from is \"humna\"; did you mean \"human\"?");
  CHECK(turns(R"([{"from": "human", "role": "user", "value": "Q"}])") ==
        "conversations[0] has both from and role");
  CHECK(turns(R"([{"from": "human", "value": "Q"}, {"from": "human", "value": "Q"}])") ==
        "conversations[1].from is \"human\", like the turn before it; human and gpt take turns");
  CHECK(turns(R"([{"from": "system", "value": "Be kind."}])") ==
        "conversations[0].from is \"system\"; the conversation template brings its own system "
        "text: leave the turn "
        "out");
  CHECK(fault(R"({"messages": [{"role": "user"}]})") == "messages[0].content is missing");
  CHECK(fault(R"({"messages": [], "conversations": []})") == "has both conversations and messages");
}

TEST_CASE("text that is not JSON, or not an object, is refused with the byte", "[data]") {
  CHECK(fault("[1]") == "is an array; expected an object");
  CHECK_THAT(fault(R"({"id": "a",, })"),
             Catch::StartsWith("is not valid JSON at byte 12 of the record: "));
  CHECK_THAT(fault("{\"id\": \"\xff\"}"), Catch::StartsWith("is not valid JSON at byte "));
  CHECK_THAT(fault("{\"id\": \"a\nb\"}"), Catch::StartsWith("is not valid JSON at byte "));
  CHECK_THAT(fault(R"({"id": "\ud800"})"), Catch::StartsWith("is not valid JSON at byte "));
  CHECK_THAT(fault(R"({"id": 1e999})"), Catch::StartsWith("is not valid JSON: "));
  CHECK_THAT(fault(""), Catch::StartsWith("is not valid JSON at byte 1 "));
}

TEST_CASE("faults stay on one line whatever the record holds", "[data]") {
  const std::string message =
      fault(R"({"conversations": [{"from": "a\nb\u001b[31m", "value": "Q"}]})");
  CHECK(message.find('\n') == std::string::npos);
  CHECK(message.find('\x1b') == std::string::npos);
}

TEST_CASE("the id of a faulty record can be told as long as it is JSON", "[data]") {
  CHECK(peek_id(R"({"id": "a", "conversations": 3})") == "a");
  CHECK(peek_id(R"({"id": 12})") == "12");
  CHECK(peek_id(R"({"id": "a")").empty());
  CHECK(peek_id("[]").empty());
}

TEST_CASE("a record's picture is told without reading the record", "[data]") {
  CHECK(peek_image(R"({"id": "a", "image": "b.jpg", "conversations": [)") ==
        "b.jpg");  // no further
  CHECK(peek_image(R"({"conversations": [{"image": "no"}], "x": {"image": "no"}, "image": "b"})") ==
        "b");
  CHECK(peek_image(R"({"image": null, "image": "b"})") == "b");
  CHECK(peek_image(R"({"image" "a"})").empty());
  CHECK(peek_image(R"(["image", "a"])").empty());
  CHECK(peek_image("").empty());
}

TEST_CASE("a record's picture is told in any form that is read", "[data]") {
  const std::string turns =
      R"("messages": [{"role": "user", "content": "<image>\nWhat?"}, {"role": "assistant", "content": "A."}]})";
  const std::string part_turns =
      R"("messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a.jpg"}},
         {"type": "text", "text": "What?"}]}, {"role": "assistant", "content": "A."}]})";
  for (const std::string& record :
       {R"({"images": "a.jpg", )" + turns, R"({"images": ["a.jpg"], )" + turns,
        R"({"image": ["a.jpg"], )" + turns, "{" + part_turns}) {
    INFO(record);
    CHECK(parse_sample(record, 0).image == "a.jpg");
    CHECK(peek_image(record) == "a.jpg");
  }
  CHECK(peek_image(R"({"images": ["a.jpg", "b.jpg"], )" + turns).empty());
  CHECK(peek_image(R"({"images": ["a.jpg"], "messages": 3})").empty());
}

TEST_CASE("a picture's path stays inside its folder", "[data]") {
  const std::filesystem::path root = "data/images";
  CHECK(resolve_inside(root, "a/b.jpg") == root / "a/b.jpg");
  CHECK(resolve_inside(root, "./a..b/..c.jpg") == root / "./a..b/..c.jpg");
  const auto refused = [&](const std::string& path) {
    return thrown<DataError>([&] { resolve_inside(root, path); });
  };
  CHECK(refused("/etc/passwd") ==
        "image \"/etc/passwd\" is an absolute path; expected a path relative to the images folder "
        "\"data/images\"");
  for (const char* path : {"../a.jpg", "a/../../b.jpg", "a/..", ".."}) {
    CHECK_THAT(refused(path), Catch::Contains(" has \"..\" in it; "));
  }
  CHECK_THAT(refused(""), Catch::StartsWith("image \"\" is empty; "));
  CHECK_THAT(refused(std::string("a\0b.jpg", 7)), Catch::Contains(" has a NUL byte; "));
}

}  // namespace finer::data
