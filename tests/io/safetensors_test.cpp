#include "finer/io/safetensors.h"

#include "finer/core/error.h"
#include "tests/core/temporary_folder.h"
#include "tests/io/test_files.h"

#include <ATen/ATen.h>
#include <catch2/catch.hpp>

#include <map>
#include <string>

namespace {

using Catch::Contains;

// The error of a file with this header and data.
std::string error_of(const std::string& header, const std::string& data = "") {
  const finer::TemporaryFolder folder;
  return finer::error_of_reading(
      finer::write_bytes(folder / "x.safetensors", finer::safetensors_bytes(header, data)));
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

}  // namespace

TEST_CASE("every dtype of the reference writer is read with its values", "[io]") {
  const auto file = finer::open_tensor_file(finer::golden_file("dtypes.safetensors"));
  CHECK(file->metadata() == std::map<std::string, std::string>{{"format", "pt"}});
  CHECK(file->tensors().size() == 13);
  const auto base = at::tensor({0.0, 1.0, -2.0, 3.5, -0.25, 100.0}, at::kDouble).view({2, 3});
  const std::map<std::string, at::ScalarType> dtypes = {
      {"float64", at::kDouble},    {"float32", at::kFloat}, {"float16", at::kHalf},
      {"bfloat16", at::kBFloat16}, {"int64", at::kLong},    {"int32", at::kInt},
      {"int16", at::kShort},       {"int8", at::kChar}};
  for (const auto& [name, dtype] : dtypes) {
    CAPTURE(name);
    CHECK(file->tensors().at(name).dtype == dtype);
    const auto tensor = file->read(name);
    CHECK(tensor.scalar_type() == dtype);
    CHECK(at::equal(tensor, base.to(dtype)));
  }
  CHECK(at::equal(file->read("uint8"), at::tensor({0, 1, 255}, at::kByte)));
  CHECK(at::equal(file->read("bool"), at::tensor({1, 0, 1}, at::kLong).to(at::kBool)));
  CHECK(file->read("scalar").dim() == 0);
  CHECK(file->read("scalar").item<float>() == -1.5F);
  CHECK(file->read("empty").sizes() == at::IntArrayRef({0, 3}));
  CHECK(file->read("empty").scalar_type() == at::kBFloat16);
  CHECK(file->read("odd \"name\"\n\xc3\xa9").item<int64_t>() == 7);
}

TEST_CASE("a tensor is a view of the file and outlives its reader", "[io]") {
  auto file = finer::open_tensor_file(finer::golden_file("dtypes.safetensors"));
  const auto first = file->read("float32");
  CHECK(first.data_ptr() == file->read("float32").data_ptr());
  file.reset();
  CHECK(first.sum().item<float>() == 102.25F);
}

TEST_CASE("the writer's file equals the reference writer's, byte for byte", "[io]") {
  const finer::TemporaryFolder folder;
  for (const char* name : {"dtypes.safetensors", "state_dict.safetensors"}) {
    const auto file = finer::open_tensor_file(finer::golden_file(name));
    std::map<std::string, at::Tensor> tensors;
    for (const auto& [tensor, info] : file->tensors()) tensors[tensor] = file->read(tensor);
    finer::save_safetensors(folder / "copy", tensors, file->metadata());
    CHECK(finer::read_bytes(folder / "copy") == finer::read_bytes(finer::golden_file(name)));
  }
}

TEST_CASE("strided tensors and leaves that need gradients are written contiguous", "[io]") {
  const finer::TemporaryFolder folder;
  const auto matrix = at::arange(6, at::kFloat).view({2, 3}).requires_grad_(true);
  finer::save_safetensors(folder / "x", {{"t", matrix.t()}, {"column", matrix.select(1, 1)}});
  const auto file = finer::open_tensor_file(folder / "x");
  CHECK(file->read("t").is_contiguous());
  CHECK(at::equal(file->read("t"), matrix.detach().t()));
  CHECK(at::equal(file->read("column"), at::tensor({1.0F, 4.0F})));
}

TEST_CASE("a file without tensors can be written and read", "[io]") {
  const finer::TemporaryFolder folder;
  finer::save_safetensors(folder / "x", {}, {{"b", "2"}, {"a", "1"}});
  const auto file = finer::open_tensor_file(folder / "x");
  CHECK(file->tensors().empty());
  CHECK(file->metadata().at("a") == "1");
}

TEST_CASE("what safetensors cannot hold is refused on writing, and no file is left", "[io]") {
  const finer::TemporaryFolder folder;
  const auto one = at::ones({1});
  CHECK_THROWS_WITH(
      finer::save_safetensors(folder / "x", {{"c", at::ones({1}, at::kComplexFloat)}}),
      Contains("tensor \"c\" has a dtype"));
  CHECK_THROWS_AS(finer::save_safetensors(folder / "x", {{"s", one.to_sparse()}}),
                  finer::CheckpointError);
  CHECK_THROWS_AS(finer::save_safetensors(folder / "x", {{"__metadata__", one}}),
                  finer::CheckpointError);
  CHECK_THROWS_WITH(finer::save_safetensors(folder / "x", {{"\xff", one}}),
                    Contains("\"\\xff\" is not UTF-8"));
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("a dtype that finer does not compute with is refused by name, only when read", "[io]") {
  const auto file = finer::open_tensor_file(finer::golden_file("fp8.safetensors"));
  CHECK(file->tensors().at("fp8").dtype == at::ScalarType::Undefined);
  CHECK(at::equal(file->read("plain"), at::ones({2})));
  CHECK_THROWS_WITH(file->read("fp8"), Contains("tensor \"fp8\": its dtype \"F8_E4M3\""));
  CHECK_THROWS_WITH(file->read("other"), Contains("holds no tensor \"other\""));
}

TEST_CASE("a tensor at an odd address is copied into place", "[io]") {
  const finer::TemporaryFolder folder;
  const float value = 1.5F;
  const auto path = finer::write_bytes(
      folder / "x", finer::safetensors_bytes("{" + entry("a", "U8", "[1]", "[0,1]") + "," +
                                                 entry("b", "F32", "[1]", "[1,5]") + "}",
                                             "\x05" + finer::little_endian(value)));
  const auto file = finer::open_tensor_file(path);
  CHECK(file->read("b").item<float>() == value);
  CHECK(reinterpret_cast<uintptr_t>(file->read("b").data_ptr()) % 4 == 0);
}

TEST_CASE("a safetensors file cut anywhere is an error that names the file", "[io]") {
  const finer::TemporaryFolder folder;
  const auto bytes = finer::read_bytes(finer::golden_file("dtypes.safetensors"));
  for (size_t size = 0; size < bytes.size(); size += size < 40 ? 1 : 13) {
    CAPTURE(size);
    const auto path = finer::write_bytes(folder / "cut", bytes.substr(0, size));
    CHECK_THAT(finer::error_of_reading(path), Catch::StartsWith(path.string() + ": "));
  }
}

TEST_CASE("bad header lengths are refused", "[io]") {
  const finer::TemporaryFolder folder;
  for (const uint64_t length :
       {uint64_t{3}, uint64_t{100'000'001}, uint64_t{1} << 62, ~uint64_t{0}}) {
    const auto path = finer::write_bytes(folder / "x", finer::little_endian(length) + "{}");
    CAPTURE(length);
    CHECK_THAT(finer::error_of_reading(path),
               Contains(length == 3 ? "is truncated: its header needs 3 bytes, 2 are there"
                                    : "bytes long, at most 100000000 are allowed"));
  }
}

TEST_CASE("bad headers are refused with what is wrong", "[io]") {
  CHECK_THAT(error_of("{"), Contains("header: is not valid JSON"));
  CHECK_THAT(error_of("{}x"), Contains("is not valid JSON"));
  CHECK_THAT(error_of("{\"a\":1}"), Contains("tensor \"a\": its entry is not {dtype"));
  CHECK_THAT(error_of("{\"a\":{\"dtype\":5}}"), Contains("its entry is not {dtype"));
  CHECK_THAT(error_of("{\"__metadata__\":[]}"), Contains("__metadata__ is not an object"));
  CHECK_THAT(error_of("{\"__metadata__\":{\"a\":1}}"), Contains("\"a\" is not text"));
  CHECK_THAT(error_of("{\"a\":" + std::string(100000, '[')), Contains("is nested too deep"));
  CHECK_THAT(error_of("{\"a\":[" + std::string(8000000, '0') + "]}"), Contains("not valid JSON"));
  std::string many = "{\"a\":[0";
  for (int i = 0; i < 4'000'000; ++i) many += ",0";
  CHECK_THAT(error_of(many + "]}"), Contains("holds too many values"));
  CHECK_THAT(error_of("{" + entry("a", "U8", "[1]", "[0,1]") + "," +
                          entry("a", "U8", "[1]", "[0,1]") + "}",
                      "x"),
             Contains("names \"a\" twice"));
}

TEST_CASE("shapes and offsets that do not fit are refused", "[io]") {
  const auto one = [](const std::string& dtype, const std::string& shape,
                      const std::string& offsets, const std::string& data) {
    return error_of("{" + entry("a", dtype, shape, offsets) + "}", data);
  };
  CHECK(one("F32", "[2]", "[0,8]", "12345678") == "");
  CHECK_THAT(one("F32", "[3]", "[0,8]", "12345678"),
             Contains("tensor \"a\": has 8 bytes, its shape needs 3 items of 4"));
  CHECK_THAT(one("F32", "[2]", "[0,7]", "1234567"), Contains("has 7 bytes"));
  CHECK_THAT(one("F32", "[2]", "[0,8]", "1234567"),
             Contains("ends at byte 8 of the data, the file holds 7 (truncated?)"));
  CHECK_THAT(one("F32", "[2]", "[8,0]", "12345678"), Contains("are not [begin, end]"));
  CHECK_THAT(one("F32", "[2]", "[0,8,8]", "12345678"), Contains("are not [begin, end]"));
  CHECK_THAT(one("F32", "[-2]", "[0,8]", "12345678"), Contains("shape is not a list"));
  CHECK_THAT(one("F32", "[2.0]", "[0,8]", "12345678"), Contains("shape is not a list"));
  CHECK_THAT(one("F32", "[2]", "[0,18446744073709551615]", "12345678"),
             Contains("data_offsets is not a list"));
  CHECK_THAT(one("F32", "[2]", "[0,9223372036854775807]", "12345678"), Contains("truncated?"));
  CHECK_THAT(one("F32", "[2]", "[4,12]", "123412345678"),
             Contains("begins at byte 4 of the data, "
                      "the one before it ends at 0 (a hole)"));
  CHECK_THAT(one("F32", "[2]", "[0,8]", "123456789"),
             Contains("holds 1 bytes after its last tensor"));
  CHECK_THAT(one("BOOL", "[2]", "[0,2]", "\x01\x02"), Contains("neither 0 nor 1"));
  // Products that overflow 64 bits, to 0 among others.
  CHECK_THAT(one("U8", "[4294967296,4294967296]", "[0,0]", ""), Contains("too large to be true"));
  CHECK_THAT(one("U8", "[4294967296,4294967296,0]", "[0,0]", ""), Contains("too large to be true"));
  CHECK_THAT(one("F64", "[2305843009213693952]", "[0,0]", ""), Contains("has 0 bytes"));
  std::string ones = "[1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  CHECK_THAT(one("U8", ones + "]", "[0,1]", "x"), Contains("has 65 dimensions"));

  CHECK_THAT(error_of("{" + entry("a", "U8", "[4]", "[0,4]") + "," +
                          entry("b", "U8", "[4]", "[2,6]") + "}",
                      "123456"),
             Contains("tensor \"b\": begins at byte 2 of the data, the one before it ends at 4 "
                      "(they overlap)"));
}
