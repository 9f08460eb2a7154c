#include "finer/io/torch_archive.h"

#include "finer/core/error.h"
#include "tests/core/temporary_folder.h"
#include "tests/io/test_files.h"

#include <ATen/ATen.h>
#include <catch2/catch.hpp>

#include <string>

namespace {

using Catch::Contains;

std::string error_of_bytes(const std::string& bytes) {
  const finer::TemporaryFolder folder;
  return finer::error_of_reading(finer::write_bytes(folder / "x.bin", bytes));
}

std::string error_of_pickle(const std::string& pickle, const std::string& storage = "") {
  return error_of_bytes(finer::archive_bytes(pickle, storage));
}

std::string text(const std::string& value) {
  return "X" + finer::little_endian<uint32_t>(value.size()) + value;
}

std::string number(int32_t value) { return "J" + finer::little_endian(value); }

std::string tuple(const std::string& items) { return "(" + items + "t"; }

// The pickle of one tensor, as torch.save builds it.
std::string tensor(const std::string& type, int32_t numel, int32_t offset, const std::string& shape,
                   const std::string& strides, const std::string& key = "0") {
  return "ctorch._utils\n_rebuild_tensor_v2\n" +
         tuple(tuple(text("storage") + "ctorch\n" + type + "\n" + text(key) + text("cpu") +
                     number(numel)) +
               "Q" + number(offset) + tuple(shape) + tuple(strides) + "\x89" +
               "ccollections\nOrderedDict\n)R") +
         "R";
}

std::string dictionary(const std::string& value) {
  return std::string("\x80\x02") + "}" + text("w") + value + "s.";
}

}  // namespace

TEST_CASE("a state dict saved by torch is read with its values, dtypes and shapes", "[io]") {
  const auto expected = finer::open_tensor_file(finer::golden_file("state_dict.safetensors"));
  for (const char* name : {"state_dict.bin", "protocol4.bin"}) {
    CAPTURE(name);
    const auto file = finer::open_tensor_file(finer::golden_file(name));
    REQUIRE(file->tensors().size() == expected->tensors().size());
    for (const auto& [tensor_name, info] : expected->tensors()) {
      CAPTURE(tensor_name);
      const auto tensor = file->read(tensor_name);
      CHECK(file->tensors().at(tensor_name).dtype == info.dtype);
      CHECK(file->tensors().at(tensor_name).shape == info.shape);
      CHECK(tensor.scalar_type() == info.dtype);
      CHECK(tensor.sizes() == info.shape);
      CHECK(at::equal(tensor, expected->read(tensor_name)));
    }
  }
}

TEST_CASE("tensors of a state dict are views of the file and outlive their reader", "[io]") {
  auto file = finer::open_tensor_file(finer::golden_file("state_dict.bin"));
  CHECK(file->read("embed.weight").data_ptr() == file->read("head.weight").data_ptr());
  const auto transposed = file->read("transposed");
  CHECK_FALSE(transposed.is_contiguous());
  CHECK(static_cast<char*>(file->read("row").data_ptr()) ==
        static_cast<char*>(transposed.data_ptr()) + 2 * 7 * sizeof(float));
  file.reset();
  CHECK(at::equal(transposed, transposed.clone()));
}

TEST_CASE("a state dict one level down is found, and what is not a tensor passed by", "[io]") {
  for (const char* name : {"nested_state_dict.bin", "nested_model.bin"}) {
    CAPTURE(name);
    const auto file = finer::open_tensor_file(finer::golden_file(name));
    REQUIRE(file->tensors().size() == 2);
    CHECK(at::equal(file->read("weight"), at::arange(6, at::kFloat).view({2, 3})));
    CHECK(at::equal(file->read("bias"), at::arange(2, at::kFloat)));
  }
}

TEST_CASE("files that hold something else are refused with what they hold", "[io]") {
  const auto error = [](const char* name) {
    return finer::error_of_reading(finer::golden_file(name));
  };
  CHECK_THAT(error("no_tensors.bin"), Contains("no_tensors.bin: holds no tensors under its keys "
                                               "(\"epoch\", \"lr\", \"large\""));
  CHECK_THAT(error("list.bin"), Contains("does not hold a dictionary of tensors"));
  CHECK_THAT(error("complex.bin"), Contains("names \"torch.ComplexFloatStorage\""));
  CHECK_THAT(error("expanded.bin"),
             Contains("tensor \"e\": is expanded beyond its storage; save it with .clone()"));
}

TEST_CASE("the form before torch 1.6 is refused with the way out", "[io]") {
  const auto path = finer::golden_file("before_1_6.bin");
  CHECK_THAT(finer::error_of_reading(path), Catch::StartsWith(path.string()) &&
                                                Contains("before torch 1.6; convert it with: ") &&
                                                Contains("torch.save(torch.load("));
}

TEST_CASE("a pickle that names a function is refused by that name", "[io]") {
  // What an object whose __reduce__ gives (os.system, ("...",)) is pickled as, in each way to say
  // it.
  const std::string call = text("true") + "\x85R";
  for (const std::string& pickle :
       {"\x80\x02" + ("cposix\nsystem\n" + call) + ".", dictionary("cposix\nsystem\n" + call),
        dictionary(text("posix") + text("system") + "\x93" + call),
        dictionary("(" + text("true") + "iposix\nsystem\n")}) {
    CHECK_THAT(error_of_pickle(pickle), Contains("names \"posix.system\", which is not allowed") &&
                                            Contains("nothing was run"));
  }
  CHECK_THAT(error_of_pickle(dictionary("cos\nsystem\n" + call)), Contains("\"os.system\""));
  CHECK_THAT(error_of_pickle(dictionary("ctorch._utils\n_rebuild_tensor_v2.__globals__\n")),
             Contains("_rebuild_tensor_v2.__globals__"));
  CHECK_THAT(error_of_pickle(dictionary("c__builtin__\neval\x1b[2J\n")),
             Contains("\"__builtin__.eval\\x1b[2J\""));
}

TEST_CASE("a tensor must lie within its storage", "[io]") {
  const std::string storage(24, '\0');  // six floats
  const auto error = [&](int32_t numel, int32_t offset, const std::string& shape,
                         const std::string& strides) {
    return error_of_pickle(dictionary(tensor("FloatStorage", numel, offset, shape, strides)),
                           storage);
  };
  CHECK(error(6, 0, number(2) + number(3), number(3) + number(1)) == "");
  CHECK(error(6, 2, number(2) + number(2), number(2) + number(1)) == "");
  CHECK_THAT(error(6, 3, number(2) + number(2), number(2) + number(1)), Contains("reach beyond"));
  CHECK_THAT(error(6, 0, number(2), number(6)), Contains("reach beyond"));
  CHECK_THAT(error(6, 0, number(2), number(-1)), Contains("reach beyond"));
  CHECK_THAT(error(6, 7, number(0), number(1)), Contains("begins at item 7 of a storage of 6"));
  CHECK_THAT(error(6, -1, number(1), number(1)), Contains("begins at item -1"));
  CHECK_THAT(error(6, 0, number(-1), number(1)), Contains("has a dimension of -1"));
  CHECK_THAT(error(6, 0, number(1000), number(0)), Contains("expanded beyond its storage"));
  CHECK_THAT(error(6, 0, number(2), ""), Contains("has 1 dimensions and 0 strides"));
  CHECK_THAT(error(7, 0, number(1), number(1)),
             Contains("its storage \"data/0\" has 24 bytes, expected 7 items of 4"));
  CHECK_THAT(error(-1, 0, number(1), number(1)), Contains("expected -1 items"));
  CHECK_THAT(error(6, 0, text("2"), number(1)), Contains("where a number belongs"));
  CHECK_THAT(error_of_pickle(
                 dictionary(tensor("FloatStorage", 6, 0, number(1), number(1), "../../secret"))),
             Contains("its storage \"data/../../secret\" is not in the archive"));
  // Shape and strides of 62 bits: neither the product nor the extent may wrap around.
  const std::string large = std::string("\x8a\x08") + finer::little_endian(int64_t{1} << 62);
  CHECK_THAT(error(6, 0, large + large, number(1) + number(1)), Contains("too large to be true"));
  CHECK_THAT(error(6, 0, number(5), large), Contains("reach beyond"));
}

TEST_CASE("calls that torch.save does not make are refused", "[io]") {
  CHECK_THAT(error_of_pickle(dictionary("ctorch\nFloatStorage\n)R")),
             Contains("is not built like a tensor"));
  CHECK_THAT(error_of_pickle(dictionary("ctorch._utils\n_rebuild_tensor_v2\n)R")),
             Contains("is not built like a tensor"));
  CHECK_THAT(error_of_pickle(dictionary("ctorch._utils\n_rebuild_parameter\n)R")),
             Contains("is a parameter without a tensor"));
  CHECK_THAT(error_of_pickle(dictionary("ccollections\nOrderedDict\nK\x01\x85R")),
             Contains("makes an ordered dictionary from arguments"));
  CHECK_THAT(error_of_pickle(dictionary(text("x") + ")R")),
             Contains("calls something that is not"));
  CHECK_THAT(error_of_pickle(dictionary("]}b")), Contains("sets the state of something"));
  CHECK_THAT(error_of_pickle(dictionary("K\x01Q\x85R")), Contains("byte"));
  CHECK_THAT(
      error_of_pickle("\x80\x02}K\x01" + tensor("FloatStorage", 0, 0, number(0), number(1)) + "s."),
      Contains("a tensor has a key that is not text"));
}

TEST_CASE("broken pickles are refused, whatever the opcode", "[io]") {
  for (const std::string& pickle :
       {std::string(), std::string("\x80\x02"), std::string("\x80\x01}."), std::string("."),
        std::string("0."), std::string("}t."), std::string("(."), std::string("(}."),
        std::string("h\x01."), std::string("}}s."), std::string("X\xff\xff\xff\xff."),
        std::string("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), std::string("cposix"),
        std::string("}(K\x01u."),
        std::string("K\x01K\x02"
                    "a."),
        std::string("}}.")}) {
    CAPTURE(pickle);
    CHECK_THAT(error_of_pickle(pickle), Contains("its pickle "));
  }
}

TEST_CASE("a dictionary that holds itself, and memo bombs, cost nothing", "[io]") {
  const std::string pickle = std::string("\x80\x02}q\x01") + text("self") + "h\x01s.";
  CHECK_THAT(error_of_pickle(pickle), Contains("holds no tensors under its keys (\"self\")"));
  // Lists that each hold the one before ten times, and one of them 100,000 deep.
  std::string bomb = "\x80\x02]q\x01";
  for (int i = 0; i < 100000; ++i)
    bomb +=
        "](h\x01h\x01h\x01h\x01h\x01h\x01h\x01h\x01h\x01h\x01"
        "eq\x01";
  CHECK_THAT(error_of_pickle(bomb + "t."), Contains("ends a list that it has not begun"));
}

TEST_CASE("a zip archive must be as torch.save writes it", "[io]") {
  const std::string pickle = "\x80\x02}.";
  CHECK(error_of_bytes(finer::zip_bytes({{"a/data.pkl", pickle}})) == "");
  CHECK(error_of_bytes(finer::zip_bytes({{"a/data.pkl", pickle}}, "a comment")) == "");
  CHECK(error_of_bytes(finer::zip_bytes({{"b/x", "1"}, {"a/data.pkl", pickle, 0, 0, true}})) == "");
  CHECK_THAT(error_of_bytes(finer::zip_bytes({{"a/data.pkl", pickle, 8}})),
             Contains("record \"a/data.pkl\" is compressed"));
  CHECK_THAT(error_of_bytes(finer::zip_bytes({{"a/data.pkl", pickle, 0, 1}})),
             Contains("record \"a/data.pkl\" is encrypted"));
  CHECK_THAT(error_of_bytes(finer::zip_bytes({{"a/data.pkl", pickle}, {"a/data.pkl", pickle}})),
             Contains("holds two records \"a/data.pkl\""));
  CHECK_THAT(error_of_bytes(finer::zip_bytes({{"a/data.pkl", pickle}, {"b/data.pkl", pickle}})),
             Contains("holds more than one data.pkl"));
  CHECK_THAT(error_of_bytes(finer::zip_bytes({{"word/document.xml", "<x/>"}})),
             Contains("is a zip archive, but not one of torch.save"));
  CHECK_THAT(error_of_bytes(finer::zip_bytes({{"a/data.pkl", pickle}, {"a/byteorder", "big"}})),
             Contains("byte order \"big\""));

  // The first record, made longer in the directory, reaches into the second.
  auto archive = finer::zip_bytes({{"a/data.pkl", pickle}, {"a/data/0", "12345678"}});
  const auto longer = finer::little_endian<uint32_t>(20);
  archive.replace(archive.find("PK\x01\x02") + 20, 8, longer + longer);
  CHECK_THAT(error_of_bytes(archive), Contains("its zip records overlap"));
  // A record whose own header has another name than the directory.
  archive = finer::zip_bytes({{"a/data.pkl", pickle}});
  archive[30] = 'b';
  CHECK_THAT(error_of_bytes(archive),
             Contains("\"a/data.pkl\" is not where the zip directory says"));
}

TEST_CASE("a zip archive cut anywhere is an error that names the file", "[io]") {
  const finer::TemporaryFolder folder;
  const auto bytes = finer::read_bytes(finer::golden_file("nested_state_dict.bin"));
  for (size_t size = 0; size < bytes.size(); size += 7) {
    CAPTURE(size);
    const auto path = finer::write_bytes(folder / "cut", bytes.substr(0, size));
    CHECK_THAT(finer::error_of_reading(path), Catch::StartsWith(path.string() + ": "));
  }
}
