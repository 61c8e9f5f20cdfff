#include "weights/gguf/gguf_file.h"

#include <cmath>
#include <limits>

#include "weights/gguf/testing.h"

namespace evo::weights {
namespace {

using testing::expect_error;
using testing::GgufBytes;
using testing::TemporaryFolder;
using testing::write_bytes;

class GgufFileTest : public ::testing::Test {
 protected:
  [[nodiscard]] GgufFile open(const GgufBytes& bytes) const { return open(bytes.text()); }
  [[nodiscard]] GgufFile open(const std::string& bytes) const {
    write_bytes(path_, bytes);
    return GgufFile(path_);
  }
  void expect_refused(const GgufBytes& bytes, std::initializer_list<std::string_view> parts) const {
    write_bytes(path_, bytes.text());
    expect_error([&] { (void)GgufFile(path_); }, {path_.string()});
    expect_error([&] { (void)GgufFile(path_); }, parts);
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "model.gguf";
};

/// Two keys and two arrays, the second of which is 64 bytes behind the first.
GgufBytes small_file() {
  GgufBytes bytes;
  bytes.head(3, 2, 2);
  bytes.key("general.architecture", 8).text("llama");
  bytes.key("a.number", 4).put<uint32_t>(7);
  bytes.array("first", {4, 2}, 0, 0);
  bytes.array("second", {32}, 8, 32);
  bytes.data(32 + 34);
  return bytes;
}

TEST_F(GgufFileTest, HoldsWhatWasWritten) {
  const GgufFile file = open(small_file());
  EXPECT_EQ(file.text("general.architecture"), "llama");
  EXPECT_EQ(file.integer("a.number"), 7);
  EXPECT_EQ(file.real("a.number"), 7);
  ASSERT_EQ(file.arrays().size(), 2u);
  EXPECT_EQ(file.arrays()[0].shape, (std::vector<int64_t>{2, 4}));  // neighbours come last
  EXPECT_EQ(file.arrays()[0].bytes.size(), 32u);
  EXPECT_EQ(file.arrays()[1].format->name, "Q8_0");
  EXPECT_EQ(file.arrays()[1].bytes.size(), 34u);
  EXPECT_EQ(file.arrays()[1].bytes.data() - file.arrays()[0].bytes.data(), 32);
  EXPECT_FALSE(file.text("missing") || file.integer("missing") || file.flag("missing"));
  EXPECT_TRUE(file.texts("missing").empty() && file.reals("missing").empty());
}

TEST_F(GgufFileTest, EveryTypeOfMetadata) {
  GgufBytes bytes;
  bytes.head(2, 0, 14);
  bytes.key("u8", 0).put<uint8_t>(200);
  bytes.key("i8", 1).put<int8_t>(-3);
  bytes.key("u16", 2).put<uint16_t>(60000);
  bytes.key("i16", 3).put<int16_t>(-300);
  bytes.key("u32", 4).put<uint32_t>(4000000000u);
  bytes.key("i32", 5).put<int32_t>(-70000);
  bytes.key("f32", 6).put<float>(1e-5f);
  bytes.key("bool", 7).put<uint8_t>(1);
  bytes.key("u64", 10).put<uint64_t>(uint64_t{1} << 40);
  bytes.key("i64", 11).put<int64_t>(-(int64_t{1} << 40));
  bytes.key("f64", 12).put<double>(0.25);
  bytes.key("texts", 9).put<uint32_t>(8).put<uint64_t>(2).text("ab").text("");
  bytes.key("ints", 9).put<uint32_t>(5).put<uint64_t>(2).put<int32_t>(-1).put<int32_t>(5);
  bytes.key("huge", 10).put<uint64_t>(UINT64_MAX);
  const GgufFile file = open(bytes);
  EXPECT_EQ(file.integer("u8"), 200);
  EXPECT_EQ(file.integer("i8"), -3);
  EXPECT_EQ(file.integer("u16"), 60000);
  EXPECT_EQ(file.integer("i16"), -300);
  EXPECT_EQ(file.integer("u32"), 4000000000);
  EXPECT_EQ(file.integer("i32"), -70000);
  EXPECT_EQ(file.real("f32"), 1e-5);  // what was written, not the float next to it
  EXPECT_EQ(file.flag("bool"), true);
  EXPECT_EQ(file.integer("u64"), int64_t{1} << 40);
  EXPECT_EQ(file.integer("i64"), -(int64_t{1} << 40));
  EXPECT_EQ(file.real("f64"), 0.25);
  EXPECT_EQ(file.texts("texts"), (std::vector<std::string_view>{"ab", ""}));
  EXPECT_EQ(file.count("texts"), 2u);
  EXPECT_EQ(file.integers("ints"), (std::vector<int64_t>{-1, 5}));
  EXPECT_EQ(file.reals("ints"), (std::vector<double>{-1, 5}));
  expect_error([&] { (void)file.integer("huge"); }, {"huge", "too large"});
  expect_error([&] { (void)file.integer("f64"); }, {"f64", "float64", "a whole number"});
  expect_error([&] { (void)file.text("u8"); }, {"u8", "uint8", "a text"});
  expect_error([&] { (void)file.flag("u8"); }, {"u8", "true or false"});
  expect_error([&] { (void)file.text("texts"); }, {"texts", "array of 2", "one value"});
  expect_error([&] { (void)file.integers("u8"); }, {"u8", "an array"});
  expect_error([&] { (void)file.texts("ints"); }, {"ints", "texts"});
}

TEST_F(GgufFileTest, NumbersThatAreNone) {
  for (const float value : {NAN, INFINITY, -INFINITY}) {
    GgufBytes bytes;
    bytes.head(3, 0, 1);
    bytes.key("eps", 6).put<float>(value);
    const GgufFile file = open(bytes);
    expect_error([&] { (void)file.real("eps"); }, {"eps", "finite"});
  }
}

TEST_F(GgufFileTest, CutAnywhereItIsAnError) {
  const std::string whole = small_file().text();
  (void)open(whole);
  for (size_t length = 1; length < whole.size(); ++length) {
    write_bytes(path_, whole.substr(0, length));
    expect_error([&] { (void)GgufFile(path_); }, {path_.string()});
  }
}

TEST_F(GgufFileTest, OtherFilesAndVersions) {
  GgufBytes other;
  other.put<uint32_t>(0x46464947).put<uint32_t>(3).put<uint64_t>(0).put<uint64_t>(0);
  expect_refused(other, {"begins with \"GGUF\""});
  EXPECT_FALSE(is_gguf(path_));
  EXPECT_FALSE(is_gguf(folder_.path()));
  EXPECT_FALSE(is_gguf(folder_ / "nothing"));
  for (const auto& [version, part] :
       {std::pair(1u, "convert the model again"), std::pair(4u, "expected 2 or 3"),
        std::pair(0x03000000u, "big-endian")}) {
    GgufBytes bytes;
    bytes.head(version, 0, 0);
    expect_refused(bytes, {part});
    EXPECT_TRUE(is_gguf(path_));
  }
}

TEST_F(GgufFileTest, AbsurdCounts) {
  for (const uint64_t count : {uint64_t{1000}, UINT64_MAX / 2, UINT64_MAX}) {
    GgufBytes arrays, keys, text, list, texts;
    arrays.head(3, count, 0);
    expect_refused(arrays, {"arrays", "are left"});
    keys.head(3, 0, count);
    expect_refused(keys, {"metadata", "are left"});
    text.head(3, 0, 1).put<uint64_t>(count).put<uint64_t>(0);
    expect_refused(text, {"incomplete download"});
    list.head(3, 0, 1).key("list", 9).put<uint32_t>(5).put<uint64_t>(count);
    expect_refused(list, {"list"});
    texts.head(3, 0, 1).key("texts", 9).put<uint32_t>(8).put<uint64_t>(count);
    expect_refused(texts, {"texts", "are left"});
  }
}

TEST_F(GgufFileTest, BadMetadata) {
  GgufBytes twice, unknown, nested, empty, alignment;
  twice.head(3, 0, 2).key("a", 4).put<uint32_t>(1).key("a", 4).put<uint32_t>(1);
  expect_refused(twice, {"a twice"});
  unknown.head(3, 0, 1).key("a", 13).put<uint64_t>(1);
  expect_refused(unknown, {"of type 13"});
  nested.head(3, 0, 1).key("a", 9).put<uint32_t>(9).put<uint64_t>(1).put<uint32_t>(9);
  expect_refused(nested, {"array of arrays"});
  empty.head(3, 0, 1).key("", 4).put<uint32_t>(1);
  expect_refused(empty, {"has 0 bytes"});
  for (const uint32_t value : {0u, 3u, 48u, 1u << 21}) {
    GgufBytes bytes;
    bytes.head(3, 1, 1).key("general.alignment", 4).put<uint32_t>(value);
    bytes.array("a", {4}, 0, 0);
    bytes.data(16);
    expect_refused(bytes, {"general.alignment", "power of two"});
  }
}

/// A file of one array, with so many bytes of data.
GgufBytes one_array(const std::vector<int64_t>& extents, uint32_t format, uint64_t offset,
                    size_t data) {
  GgufBytes bytes;
  bytes.head(3, 1, 0).array("a", extents, format, offset);
  bytes.data(data);
  return bytes;
}

TEST_F(GgufFileTest, BadArrays) {
  (void)open(one_array({4}, 0, 0, 16));
  constexpr int64_t kBig = int64_t{1} << 32;
  expect_refused(one_array({kBig, kBig}, 0, 0, 16), {"a", "too large"});
  expect_refused(one_array({kBig, kBig / 2}, 0, 0, 16), {"a", "too large"});  // by its bytes
  expect_refused(one_array({0}, 0, 0, 16), {"a", "positive"});
  expect_refused(one_array({-4, -1}, 0, 0, 16), {"a", "positive"});
  expect_refused(one_array({}, 0, 0, 16), {"a", "0 extents"});
  expect_refused(one_array({1, 1, 1, 1, 1}, 0, 0, 16), {"a", "5 extents"});
  expect_refused(one_array({4}, 999, 0, 16), {"a", "format 999", "Q4_K"});
  expect_refused(one_array({4}, 16, 0, 16), {"a", "format 16"});
  expect_refused(one_array({31}, 8, 0, 64), {"a", "blocks of 32"});
  expect_refused(one_array({4}, 0, 8, 32), {"a", "multiple of 32"});
  expect_refused(one_array({4}, 0, 32, 16), {"a", "incomplete download"});
  expect_refused(one_array({4}, 0, 0, 15), {"a", "incomplete download"});
  expect_refused(one_array({4}, 0, UINT64_MAX - 31, 64), {"a"});
}

TEST_F(GgufFileTest, ArraysThatOverlapOrShareAName) {
  GgufBytes overlap, name;
  overlap.head(3, 2, 0).array("a", {16}, 0, 0).array("b", {4}, 0, 32);
  overlap.data(64);
  expect_refused(overlap, {"b", "overlap"});
  name.head(3, 2, 0).array("a", {4}, 0, 0).array("a", {4}, 0, 32);
  name.data(64);
  expect_refused(name, {"a", "two arrays"});
}

TEST_F(GgufFileTest, AnotherAlignment) {
  GgufBytes bytes;
  bytes.head(3, 2, 1).key("general.alignment", 4).put<uint32_t>(8);
  bytes.array("a", {1}, 0, 0).array("b", {1}, 0, 8);
  bytes.data(12, 8);
  EXPECT_EQ(open(bytes).arrays()[1].bytes.size(), 4u);
}

}  // namespace
}  // namespace evo::weights
