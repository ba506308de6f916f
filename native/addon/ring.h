// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "handle.h"
#include "ring_map.h"

namespace lockstep
{

class Ring : public Handle
{
  public:
    static constexpr Kind kKind = Kind::Ring;
    explicit Ring(std::shared_ptr<RingMap> map) : Handle(kKind), map_(std::move(map))
    {
    }
    void Close() override
    {
        map_.reset();
    }
    bool closed() const
    {
        return !map_;
    }
    // Throws RING_CLOSED.
    const std::shared_ptr<RingMap> &map() const;
    // Throws RING_CLOSED or RING_READ_ONLY.
    const RingMap &writable() const;

  private:
    std::shared_ptr<RingMap> map_;
};

void ExportRing(Napi::Object exports);

} // namespace lockstep
