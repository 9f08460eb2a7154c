#include "finer/train/html_text.h"

#include <catch2/catch.hpp>

TEST_CASE("text is escaped for HTML, within tags and attributes", "[train]") {
  CHECK(finer::html_text("<a href='x' b=\"y\">&amp;") ==
        "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;amp;");
  CHECK(finer::html_text("caf\xc3\xa9\tone\ntwo") == "caf\xc3\xa9\tone\ntwo");
}

TEST_CASE("what is not valid UTF-8 becomes the replacement character", "[train]") {
  const std::string mark = "\xef\xbf\xbd";
  CHECK(finer::clean_utf8("a\xffz") == "a" + mark + "z");
  CHECK(finer::clean_utf8("cut \xe2\x82") == "cut " + mark + mark);           // inside a character
  CHECK(finer::clean_utf8("\xc0\xaf") == mark + mark);                        // overlong
  CHECK(finer::clean_utf8("\xe0\x9f\xbf") == mark + mark + mark);             // overlong
  CHECK(finer::clean_utf8("\xed\xa0\x80") == mark + mark + mark);             // surrogate
  CHECK(finer::clean_utf8("\xf4\x90\x80\x80") == mark + mark + mark + mark);  // above U+10FFFF
  CHECK(finer::clean_utf8("\xf0\x9f\x90\xa6") == "\xf0\x9f\x90\xa6");         // a bird
  CHECK(finer::clean_utf8("\xef\xbf\xbf\xed\x9f\xbf") == "\xef\xbf\xbf\xed\x9f\xbf");
  CHECK(finer::clean_utf8(std::string_view("\0\x1b\x7f", 3)) == mark + mark + mark);
  CHECK(finer::clean_utf8("\xc2\x9b") == mark);  // a control of Latin-1
}

TEST_CASE("marks that turn the direction of text are taken out", "[train]") {
  const std::string mark = "\xef\xbf\xbd";
  CHECK(finer::clean_utf8("\xe2\x80\xaegnp.exe") == mark + "gnp.exe");
  CHECK(finer::clean_utf8("\xe2\x81\xa7") == mark);
  CHECK(finer::clean_utf8("\xe2\x80\xa9\xe2\x80\xaf") == "\xe2\x80\xa9\xe2\x80\xaf");
  CHECK(finer::clean_utf8("\xd7\xa9\xd7\x9c") == "\xd7\xa9\xd7\x9c");  // Hebrew itself stays
}

TEST_CASE("base64 agrees with the vectors of RFC 4648", "[train]") {
  CHECK(finer::base64("").empty());
  CHECK(finer::base64("f") == "Zg==");
  CHECK(finer::base64("fo") == "Zm8=");
  CHECK(finer::base64("foo") == "Zm9v");
  CHECK(finer::base64("foob") == "Zm9vYg==");
  CHECK(finer::base64("fooba") == "Zm9vYmE=");
  CHECK(finer::base64("foobar") == "Zm9vYmFy");
  CHECK(finer::base64("\xff\xfe\xfb") == "//77");
}
