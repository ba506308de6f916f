// SPDX-License-Identifier: Apache-2.0
// File descriptors over a unix socket (SCM_RIGHTS), and what little else is asked of descriptors
// directly.
#include "descriptors.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <vector>

#include "errors.h"
#include "fd.h"
#include "promise_worker.h"

namespace lockstep
{

namespace
{

// The same bound as FDS_MAX in descriptors.ts.
constexpr size_t kFdsMax = 16;
constexpr size_t kControlBytes = CMSG_SPACE(kFdsMax * sizeof(int));

Napi::Value SocketPair(const Napi::CallbackInfo &info)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        throw SystemError("socketpair", errno);
    }
    Napi::Array pair = Napi::Array::New(info.Env(), 2);
    pair.Set(0u, fds[0]);
    pair.Set(1u, fds[1]);
    return pair;
}

void PutFds(msghdr &message, const Napi::Int32Array &fds)
{
    const size_t bytes = fds.ElementLength() * sizeof(int);
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(bytes);
    memcpy(CMSG_DATA(header), fds.Data(), bytes);
}

Napi::Value SendFds(const Napi::CallbackInfo &info)
{
    const auto fds = info[1].As<Napi::Int32Array>();
    auto data = info[2].As<Napi::Uint8Array>();
    if (fds.ElementLength() == 0 || fds.ElementLength() > kFdsMax) {
        throw SystemError("sendmsg", EINVAL);
    }
    alignas(cmsghdr) std::array<uint8_t, kControlBytes> control{};
    iovec span{data.Data(), data.ByteLength()};
    msghdr message{};
    message.msg_iov = &span;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    PutFds(message, fds);
    ssize_t sent;
    do {
        sent =
            sendmsg(info[0].As<Napi::Number>().Int32Value(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        throw SystemError("sendmsg", errno);
    }
    return Napi::Number::New(info.Env(), static_cast<double>(sent));
}

struct Received {
    std::vector<uint8_t> data;
    std::vector<Fd> fds;
};

void TakeFds(msghdr &message, std::vector<Fd> &fds)
{
    for (cmsghdr *header = CMSG_FIRSTHDR(&message); header;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
            fds.emplace_back(fd);
        }
    }
}

Received ReceiveNow(int socket, size_t bytes_max)
{
    Received received;
    received.data.resize(bytes_max);
    alignas(cmsghdr) std::array<uint8_t, kControlBytes> control{};
    iovec span{received.data.data(), bytes_max};
    msghdr message{};
    message.msg_iov = &span;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t bytes = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (bytes < 0) {
        throw SystemError("recvmsg", errno);
    }
    TakeFds(message, received.fds);
    if (message.msg_flags & MSG_CTRUNC) {
        throw CodedError("FDS_TRUNCATED", "more descriptors came than can be taken");
    }
    received.data.resize(static_cast<size_t>(bytes));
    return received;
}

// Waits until the socket is readable, then takes what came. The time-out is bounded by
// descriptors.ts.
class Wait : public PromiseWorker
{
  public:
    Wait(Napi::Env env, const Napi::Value &socket, int timeout_ms)
        : PromiseWorker(env, "lockstep-descriptors", socket), timeout_ms_(timeout_ms)
    {
    }

  protected:
    // Throws SystemError or CodedError.
    virtual void Take(int socket) = 0;

    void Work(int socket) final
    {
        pollfd polled{socket, POLLIN, 0};
        const int ready = poll(&polled, 1, timeout_ms_);
        if (ready == 0) {
            throw SystemError("poll", ETIMEDOUT);
        }
        Take(socket);
    }

  private:
    int timeout_ms_;
};

class Receive : public Wait
{
  public:
    Receive(Napi::Env env, const Napi::Value &socket, int timeout_ms, size_t bytes_max)
        : Wait(env, socket, timeout_ms), bytes_max_(bytes_max)
    {
    }

  protected:
    void Take(int socket) override
    {
        received_ = ReceiveNow(socket, bytes_max_);
    }

    Napi::Value ToValue(Napi::Env env) override
    {
        Napi::Array fds = Napi::Array::New(env, received_.fds.size());
        for (uint32_t i = 0; i < received_.fds.size(); i++) {
            fds.Set(i, received_.fds[i].Release());
        }
        Napi::Object result = Napi::Object::New(env);
        result.Set("fds", fds);
        result.Set("data",
                   Napi::Buffer<uint8_t>::Copy(env, received_.data.data(), received_.data.size()));
        return result;
    }

  private:
    size_t bytes_max_;
    Received received_;
};

class Accept : public Wait
{
  public:
    using Wait::Wait;

  protected:
    void Take(int socket) override
    {
        accepted_ = Fd(accept4(socket, nullptr, nullptr, SOCK_CLOEXEC));
        if (!accepted_) {
            throw SystemError("accept", errno);
        }
    }

    Napi::Value ToValue(Napi::Env env) override
    {
        return Napi::Number::New(env, accepted_.Release());
    }

  private:
    Fd accepted_;
};

Napi::Value RecvFds(const Napi::CallbackInfo &info)
{
    auto *receive = new Receive(info.Env(), info[0], info[2].As<Napi::Number>().Int32Value(),
                                info[1].As<Napi::Number>().Uint32Value());
    return receive->Start();
}

Napi::Value AcceptUnix(const Napi::CallbackInfo &info)
{
    auto *accept = new Accept(info.Env(), info[0], info[1].As<Napi::Number>().Int32Value());
    return accept->Start();
}

Napi::Value ListenUnix(const Napi::CallbackInfo &info)
{
    const std::string path = info[0].As<Napi::String>();
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        throw SystemError("bind", ENAMETOOLONG);
    }
    memcpy(address.sun_path, path.data(), path.size());
    Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener) {
        throw SystemError("socket", errno);
    }
    if (bind(listener.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0) {
        throw SystemError("bind", errno);
    }
    if (listen(listener.get(), info[1].As<Napi::Number>().Int32Value()) != 0) {
        throw SystemError("listen", errno);
    }
    return Napi::Number::New(info.Env(), listener.Release());
}

Napi::Value ShutdownSocket(const Napi::CallbackInfo &info)
{
    if (shutdown(info[0].As<Napi::Number>().Int32Value(), SHUT_RDWR) != 0) {
        throw SystemError("shutdown", errno);
    }
    return info.Env().Undefined();
}

Napi::Value PeerPid(const Napi::CallbackInfo &info)
{
    ucred peer{};
    socklen_t bytes = sizeof peer;
    if (getsockopt(info[0].As<Napi::Number>().Int32Value(), SOL_SOCKET, SO_PEERCRED, &peer,
                   &bytes) != 0) {
        throw SystemError("SO_PEERCRED", errno);
    }
    return Napi::Number::New(info.Env(), peer.pid);
}

Napi::Value UnsentBytes(const Napi::CallbackInfo &info)
{
    int bytes = 0;
    if (ioctl(info[0].As<Napi::Number>().Int32Value(), SIOCOUTQ, &bytes) != 0) {
        throw SystemError("SIOCOUTQ", errno);
    }
    return Napi::Number::New(info.Env(), bytes);
}

} // namespace

void ExportDescriptors(Napi::Object exports)
{
    Export<SocketPair>(exports, "socketPair");
    Export<SendFds>(exports, "sendFds");
    Export<RecvFds>(exports, "recvFds");
    Export<ListenUnix>(exports, "listenUnix");
    Export<AcceptUnix>(exports, "acceptUnix");
    Export<ShutdownSocket>(exports, "shutdownSocket");
    Export<PeerPid>(exports, "peerPid");
    Export<UnsentBytes>(exports, "unsentBytes");
}

} // namespace lockstep
