#include "json.h"

#include <algorithm>
#include <cstring>

#include "error.h"

namespace smartmem {
namespace {

constexpr int kMaxDepth = 64;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A code point as UTF-8.
void append_utf8(std::string& text, uint32_t code) {
  const auto add = [&text](uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xC0 | code >> 6);
    add(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    add(0xE0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3F));
    add(0x80 | (code & 0x3F));
  } else {
    add(0xF0 | code >> 18);
    add(0x80 | (code >> 12 & 0x3F));
    add(0x80 | (code >> 6 & 0x3F));
    add(0x80 | (code & 0x3F));
  }
}

}  // namespace

// Recursive descent; `at_` never passes `end_`.
class JsonParser {
 public:
  explicit JsonParser(Bytes content)
      : start_(reinterpret_cast<const char*>(content.data)),
        at_(start_),
        end_(start_ + content.size) {}

  Json document() {
    Json value = this->value(0);
    skip_space();
    if (at_ != end_) refuse();
    return value;
  }

 private:
  [[noreturn]] void refuse() const { fail(SM_BAD_FILE, "not JSON at byte ", at_ - start_); }

  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) ++at_;
  }

  bool takes(char wanted) {
    if (at_ == end_ || *at_ != wanted) return false;
    ++at_;
    return true;
  }

  void need(char wanted) {
    skip_space();
    if (!takes(wanted)) refuse();
  }

  Json value(int depth) {
    if (depth > kMaxDepth) refuse();
    skip_space();
    if (at_ == end_) refuse();
    Json value;
    switch (*at_) {
      case '{':
        value.kind_ = Json::Kind::kObject;
        value.object_ = object(depth);
        return value;
      case '[':
        value.kind_ = Json::Kind::kList;
        value.list_ = list(depth);
        return value;
      case '"':
        value.kind_ = Json::Kind::kText;
        value.text_ = text();
        return value;
      case 't':
        word("true");
        value.kind_ = Json::Kind::kBool;
        return value;
      case 'f':
        word("false");
        value.kind_ = Json::Kind::kBool;
        return value;
      case 'n':
        word("null");
        return value;
      default:
        value.kind_ = Json::Kind::kNumber;
        value.text_ = number();
        return value;
    }
  }

  Json::Object object(int depth) {
    Json::Object members;
    need('{');
    skip_space();
    if (takes('}')) return members;
    do {
      skip_space();
      std::string key = text();
      need(':');
      members.emplace_back(std::move(key), value(depth + 1));
      skip_space();
    } while (takes(','));
    need('}');
    refuse_twins(members);
    return members;
  }

  void refuse_twins(const Json::Object& members) const {
    std::vector<const std::string*> keys;
    for (const auto& [key, value] : members) keys.push_back(&key);
    const auto less = [](const std::string* a, const std::string* b) { return *a < *b; };
    const auto same = [](const std::string* a, const std::string* b) { return *a == *b; };
    std::sort(keys.begin(), keys.end(), less);
    if (std::adjacent_find(keys.begin(), keys.end(), same) != keys.end()) refuse();
  }

  Json::List list(int depth) {
    Json::List items;
    need('[');
    skip_space();
    if (takes(']')) return items;
    do {
      items.push_back(value(depth + 1));
      skip_space();
    } while (takes(','));
    need(']');
    return items;
  }

  void word(const char* wanted) {
    for (; *wanted != '\0'; ++wanted) {
      if (!takes(*wanted)) refuse();
    }
  }

  std::string number() {
    const char* first = at_;
    takes('-');
    if (!takes('0')) digits();
    if (takes('.')) digits();
    if (takes('e') || takes('E')) {
      if (!takes('+')) takes('-');
      digits();
    }
    return {first, at_};
  }

  void digits() {
    if (at_ == end_ || !is_digit(*at_)) refuse();
    while (at_ != end_ && is_digit(*at_)) ++at_;
  }

  std::string text() {
    std::string found;
    if (!takes('"')) refuse();
    while (!takes('"')) {
      if (at_ == end_ || static_cast<unsigned char>(*at_) < 0x20) refuse();
      if (takes('\\')) {
        escape(found);
      } else {
        found.push_back(*at_++);
      }
    }
    return found;
  }

  void escape(std::string& found) {
    constexpr const char* kNames = "\"\\/bfnrt";
    constexpr const char* kMeanings = "\"\\/\b\f\n\r\t";
    if (takes('u')) return append_utf8(found, code_point());
    const char* name = at_ == end_ || *at_ == '\0' ? nullptr : std::strchr(kNames, *at_);
    if (name == nullptr) refuse();
    found.push_back(kMeanings[name - kNames]);
    ++at_;
  }

  // After `\u`: one unit of UTF-16, or a pair of surrogates.
  uint32_t code_point() {
    const uint32_t first = unit();
    if (first < 0xD800 || first > 0xDFFF) return first;
    if (first > 0xDBFF || !takes('\\') || !takes('u')) refuse();
    const uint32_t second = unit();
    if (second < 0xDC00 || second > 0xDFFF) refuse();
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
  }

  uint32_t unit() {
    constexpr const char* kHex = "0123456789abcdef";
    uint32_t found = 0;
    for (int i = 0; i < 4; ++i) {
      if (at_ == end_) refuse();
      const char lower = static_cast<char>(is_digit(*at_) ? *at_ : *at_ | 0x20);
      const char* place = lower == '\0' ? nullptr : std::strchr(kHex, lower);
      if (place == nullptr) refuse();
      found = found << 4 | static_cast<uint32_t>(place - kHex);
      ++at_;
    }
    return found;
  }

  const char* start_;
  const char* at_;
  const char* end_;
};

Json Json::parse(Bytes content) { return JsonParser(content).document(); }

const Json* Json::find(const std::string& key) const {
  for (const auto& [name, value] : object_) {
    if (name == key) return &value;
  }
  return nullptr;
}

const std::string& Json::text(const std::string& key) const {
  return member(key, Kind::kText, "a text").text_;
}

std::string Json::text_or(const std::string& key, const std::string& fallback) const {
  const Json* found = find(key);
  return found == nullptr || found->kind_ == Kind::kNull ? fallback : text(key);
}

uint64_t Json::integer(const std::string& key) const {
  return member(key, Kind::kNumber, "a number").as_integer();
}

const Json::List& Json::list(const std::string& key) const {
  return member(key, Kind::kList, "a list").list_;
}

const Json& Json::object(const std::string& key) const {
  return member(key, Kind::kObject, "an object");
}

uint64_t Json::as_integer() const {
  constexpr size_t kMaxDigits = 18;  // fits in 63 bits
  if (kind_ != Kind::kNumber || text_.size() > kMaxDigits ||
      !std::all_of(text_.begin(), text_.end(), is_digit)) {
    fail(SM_BAD_FILE, "a number that is no count");
  }
  uint64_t value = 0;
  for (const char digit : text_) value = 10 * value + static_cast<uint64_t>(digit - '0');
  return value;
}

const Json& Json::member(const std::string& key, Kind kind, const char* name) const {
  const Json* found = find(key);
  if (found == nullptr || found->kind_ != kind) fail(SM_BAD_FILE, "'", key, "' is not ", name);
  return *found;
}

}  // namespace smartmem
