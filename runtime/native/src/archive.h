// IREE's parameter archive (.irpa), version 0: named entries of bytes in one mapped file.
#pragma once

#include <string>
#include <unordered_map>

#include "file.h"

namespace smartmem {

class Archive {
 public:
  // Throws SM_BAD_FILE for what is no such archive.
  explicit Archive(const std::string& path);

  // The bytes of the entry `key`; throws SM_BAD_FILE where there is none.
  Bytes entry(const std::string& key) const;

 private:
  std::string path_;
  MappedFile file_;
  std::unordered_map<std::string, Bytes> entries_;
};

}  // namespace smartmem
