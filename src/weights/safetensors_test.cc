#include "weights/safetensors.h"

#include <bit>
#include <cmath>

#include "base/random.h"
#include "base/testing.h"

namespace evo::weights {
namespace {

using testing::expect_error;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

/// A file with this header text and `data_bytes` zero bytes of data.
std::string file_bytes(std::string_view header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
  bytes += header;
  return bytes + std::string(data_bytes, '\0');
}

void expect_bad(const std::string& bytes, std::initializer_list<std::string_view> parts) {
  const TemporaryFolder folder;
  write_bytes(folder / "bad.safetensors", bytes);
  SCOPED_TRACE(bytes.substr(0, 200));
  expect_error([&] { SafetensorsFile{folder / "bad.safetensors"}; }, {"bad.safetensors"});
  expect_error([&] { SafetensorsFile{folder / "bad.safetensors"}; }, parts);
}

void expect_bad(std::string_view header, size_t data_bytes,
                std::initializer_list<std::string_view> parts) {
  expect_bad(file_bytes(header, data_bytes), parts);
}

TEST(Safetensors, RoundTripF32) {
  const TemporaryFolder folder;
  const std::vector<float> a = {1, -2.5f, INFINITY, 1e-40f, 0, -0.0f}, b = {7};
  const std::vector<ArrayToWrite> arrays = {
      {"z", {2, 3}, a}, {"a", {}, b}, {"empty", {0, 4}, {}}, {"quote\"", {1}, b}};
  write_safetensors(folder / "m", arrays, {{"format", "pt"}});
  const SafetensorsFile file(folder / "m");
  ASSERT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.tensors()[0].name, "z");
  EXPECT_EQ(file.tensors()[0].dtype, "F32");
  EXPECT_EQ(file.tensors()[0].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.find("nothing"), nullptr);
  std::vector<float> back(6);
  file.read_f32("z", {2, 3}, back);
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(std::bit_cast<uint32_t>(back[i]), std::bit_cast<uint32_t>(a[i]));
  }
  file.read_f32("a", {}, std::span(back).first(1));
  EXPECT_EQ(back[0], 7);
  file.read_f32("empty", {0, 4}, {});
}

TEST(Safetensors, BytesAreThoseOfTheFormat) {
  const TemporaryFolder folder;
  const std::vector<float> values = {1, 2};
  write_safetensors(folder / "m", {{"w", {2}, values}});
  std::string header = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  header.resize(56, ' ');  // 54 characters, padded to a multiple of 8
  std::string expected = file_bytes(header, 8);
  expected.replace(expected.size() - 8, 8, std::string("\0\0\x80\x3F\0\0\0\x40", 8));
  EXPECT_EQ(read_bytes(folder / "m"), expected);
}

TEST(Safetensors, Bf16RoundsToNearestEven) {
  const TemporaryFolder folder;
  std::vector<float> values(40'000);  // more than one chunk
  Random random(3);
  random.fill_normal(values);
  values[0] = 1.00390625f;  // 1 + 2^-8: halfway between 1 and 1 + 2^-7, to even: 1
  values[1] = 1.01171875f;  // 1 + 3 * 2^-8: halfway, to even: 1 + 2^-6
  values[2] = std::nanf("");
  values[3] = -INFINITY;
  write_safetensors(folder / "m", {{"w", {200, 200}, values, "BF16"}});
  const SafetensorsFile file(folder / "m");
  EXPECT_EQ(file.tensors().at(0).dtype, "BF16");
  std::vector<float> back(values.size());
  file.read_f32("w", {200, 200}, back);
  EXPECT_EQ(back[0], 1.0f);
  EXPECT_EQ(back[1], 1.015625f);
  EXPECT_TRUE(std::isnan(back[2]));
  EXPECT_EQ(back[3], -INFINITY);
  // 8 significant bits: the error is at most half a unit in the last place, 2^-9 of the binade.
  for (size_t i = 4; i < values.size(); ++i) {
    EXPECT_TRUE(std::abs(back[i] - values[i]) <= 0x1p-8f * std::abs(values[i])) << values[i];
  }
}

TEST(Safetensors, ReadsF16AndUnalignedData) {
  const TemporaryFolder folder;
  // A header of odd length, as other writers make.
  std::string bytes = file_bytes(R"({"h":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},)"
                                 R"("f":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                                 0);
  ASSERT_EQ(bytes.size() % 2, 1u);
  bytes += std::string("\0\x3C\0\xC0\0\0\x80\x3F", 8);
  write_bytes(folder / "m", bytes);
  const SafetensorsFile file(folder / "m");
  std::vector<float> values(2);
  file.read_f32("h", {2}, values);
  EXPECT_EQ(values, (std::vector<float>{1, -2}));
  file.read_f32("f", {1}, std::span(values).first(1));
  EXPECT_EQ(values[0], 1);
}

TEST(Safetensors, ReadingNamesBothShapes) {
  const TemporaryFolder folder;
  write_bytes(folder / "m",
              file_bytes(R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                         R"("i":{"dtype":"I32","shape":[2],"data_offsets":[24,32]}})",
                         32));
  const SafetensorsFile file(folder / "m");
  std::vector<float> out(6);
  expect_error([&] { file.read_f32("w", {3, 2}, out); }, {"/m: w", "[2, 3]", "[3, 2]"});
  expect_error([&] { file.read_f32("v", {6}, out); }, {"no array v", "[6]"});
  expect_error([&] { file.read_f32("i", {2}, std::span(out).first(2)); }, {"i is I32", "F32"});
}

/// Arrays made one at a time give the same file.
TEST(Safetensors, ArraysMadeWhenTheyAreWritten) {
  const TemporaryFolder folder;
  const std::vector<float> x = {1, 2, 3, 4}, y = {5, 6};
  write_safetensors(folder / "kept", {{"x", {2, 2}, x, "BF16"}, {"y", {2}, y}});
  const auto maker = [](const std::vector<float>& values) {
    return [values](std::span<float> out) {
      ASSERT_EQ(out.size(), values.size());
      std::copy(values.begin(), values.end(), out.begin());
    };
  };
  write_safetensors(folder / "made",
                    {{"x", {2, 2}, {}, "BF16", maker(x)}, {"y", {2}, {}, "F32", maker(y)}});
  EXPECT_EQ(read_bytes(folder / "kept"), read_bytes(folder / "made"));
}

TEST(Safetensors, EqualInputsGiveEqualBytes) {
  const TemporaryFolder folder;
  const std::vector<float> values(100, 0.5f);
  for (const char* name : {"a", "b"}) {
    write_safetensors(folder / name, {{"y", {100}, values}, {"x", {10, 10}, values}},
                      {{"k2", "2"}, {"k1", "1"}});
  }
  EXPECT_EQ(read_bytes(folder / "a"), read_bytes(folder / "b"));
}

TEST(BadSafetensors, MissingEmptyShort) {
  expect_error([] { SafetensorsFile{"no/such.safetensors"}; }, {"no/such", "No such file"});
  expect_bad("", {"is empty"});
  expect_bad("1234567", {"7 bytes", "incomplete download"});
}

TEST(BadSafetensors, HeaderLengthLies) {
  const std::string good =
      file_bytes(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1);
  const auto with_length = [&](uint64_t length) {
    std::string bytes = good;
    bytes.replace(0, 8, reinterpret_cast<const char*>(&length), 8);
    return bytes;
  };
  expect_bad(with_length(good.size() - 7), {"incomplete download"});
  expect_bad(with_length(UINT64_MAX), {"18446744073709551615", "limit"});
  expect_bad(with_length(100'000'001), {"100000001", "limit"});
  expect_bad(with_length(0), {"not valid JSON"});
  expect_bad(with_length(10), {"not valid JSON", "byte"});
  expect_bad(with_length(good.size() - 8), {"not valid JSON"});
}

TEST(BadSafetensors, EveryTruncationIsNoticed) {
  const TemporaryFolder folder;
  const std::vector<float> values(5, 1.0f);
  write_safetensors(folder / "good", {{"a", {2}, std::span(values).first(2)}, {"b", {5}, values}});
  const std::string good = read_bytes(folder / "good");
  for (size_t size = 0; size < good.size(); ++size) {
    write_bytes(folder / "cut", good.substr(0, size));
    EXPECT_THROW(SafetensorsFile{folder / "cut"}, Error) << size;
  }
  write_bytes(folder / "cut", good.substr(0, good.size() - 1));
  expect_error([&] { SafetensorsFile{folder / "cut"}; },
               {"b ends at byte 28", "only 27", "incomplete"});
}

TEST(BadSafetensors, Header) {
  expect_bad("[]", 0, {"object"});
  expect_bad(R"({"w":3})", 0, {"\"w\"", "an object", "3"});
  expect_bad(R"({"w":{"shape":[1],"data_offsets":[0,4]}})", 4, {"w", "dtype", "missing"});
  expect_bad(R"({"w":{"dtype":"F32","data_offsets":[0,4]}})", 4, {"w", "shape", "missing"});
  expect_bad(R"({"w":{"dtype":"F32","shape":[1]}})", 4, {"w", "data_offsets", "missing"});
  expect_bad(R"({"w":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", 4, {"w", "\"F33\""});
  expect_bad(R"({"w":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4, {"shape", "1.5"});
  expect_bad(R"({"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, {"negative", "[-1]"});
  expect_bad(R"({"__metadata__":{"a":1}})", 0, {"__metadata__", "a text"});
  expect_bad(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
             R"("w":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
             2, {"\"w\"", "twice"});
  expect_bad(R"({"w":)" + std::string(5'000'000, '['), 0, {"nested"});
}

TEST(BadSafetensors, MetadataWithoutEndTakesNoTime) {
  std::string metadata;
  for (int i = 0; i < 100'000; ++i) metadata += fmt::format(R"({}"{}":"")", i == 0 ? "" : ",", i);
  expect_bad("{\"__metadata__\":{" + metadata + "}}", 0, {"100000 keys"});
}

TEST(BadSafetensors, ShapesThatOverflow) {
  expect_bad(R"({"w":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}})", 0,
             {"w", "4294967296 x 4294967296", "too large"});
  expect_bad(R"({"w":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}})", 0,
             {"w", "2305843009213693952 x 8", "too large"});
  expect_bad(R"({"w":{"dtype":"F64","shape":[9223372036854775808],"data_offsets":[0,0]}})", 0,
             {"shape", "9223372036854775808"});
}

TEST(BadSafetensors, Offsets) {
  const auto one = [](std::string_view offsets) {
    return fmt::format(R"({{"w":{{"dtype":"F32","shape":[2],"data_offsets":{}}}}})", offsets);
  };
  expect_bad(one("[0,4]"), 8, {"w", "[2]", "F32", "needs 8 bytes", "give 4"});
  expect_bad(one("[8,0]"), 8, {"w", "[8, 0]"});
  expect_bad(one("[-8,0]"), 8, {"w", "[-8, 0]"});
  expect_bad(one("[0,8,9]"), 8, {"w", "[begin, end]"});
  expect_bad(one("[0,18446744073709551615]"), 8, {"18446744073709551615"});
  expect_bad(one("[9223372036854775799,9223372036854775807]"), 8, {"w begins", "a gap"});
  expect_bad(one("[4,12]"), 12, {"w begins at byte 4", "a gap"});
  expect_bad(one("[0,8]"), 7, {"w ends at byte 8", "only 7", "incomplete"});
  expect_bad(one("[0,8]"), 11, {"3 bytes after the last array"});
}

TEST(BadSafetensors, OverlapsAndGapsBetweenArrays) {
  const auto two = [](std::string_view second) {
    return fmt::format(R"({{"a":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}},)"
                       R"("b":{{"dtype":"U8","shape":[4],"data_offsets":{}}}}})",
                       second);
  };
  expect_bad(two("[2,6]"), 6, {"b begins at byte 2", "ends at 4", "overlap"});
  expect_bad(two("[0,4]"), 4, {"overlap"});
  expect_bad(two("[5,9]"), 9, {"b begins at byte 5", "a gap"});
}

/// Whatever one byte of the header is, the file is read or refused, never worse.
TEST(BadSafetensors, EveryHeaderByteReplaced) {
  const TemporaryFolder folder;
  const std::vector<float> values(6, 1.0f);
  write_safetensors(folder / "good", {{"a", {2, 3}, values}, {"b", {0}, {}}}, {{"k", "v"}});
  const std::string good = read_bytes(folder / "good");
  const size_t header_end = good.size() - values.size() * sizeof(float);
  int refused = 0;
  for (size_t i = 0; i < header_end; ++i) {
    for (const char replacement : {'\0', '"', '9', '-', '}', '\xFF'}) {
      std::string bytes = good;
      bytes[i] = replacement;
      write_bytes(folder / "bad", bytes);
      try {
        const SafetensorsFile file(folder / "bad");
        for (const TensorInfo& tensor : file.tensors()) {
          EXPECT_LE(tensor.bytes.size(), values.size() * sizeof(float));
        }
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 400);  // most of them: the free bytes are those of names, values and padding
}

}  // namespace
}  // namespace evo::weights
