/* Tests BSD sockets in C, on 127.0.0.1 and on ::1. If a check fails, it exits at once with a status other than 0. */

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(condition)                                                                            \
    do {                                                                                            \
        if (!(condition)) {                                                                         \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));    \
            exit(1);                                                                                \
        }                                                                                           \
    } while (0)

/* A timeout that expires only if something is wrong. */
#define LONG_MS 50000

struct address {
    struct sockaddr_storage storage;
    socklen_t length;
};

static struct address resolve(const char *host, const char *port, int type) {
    struct addrinfo hints = {.ai_socktype = type, .ai_flags = AI_NUMERICHOST}, *found = NULL;
    struct address address = {0};
    CHECK(getaddrinfo(host, port, &hints, &found) == 0);
    CHECK(found != NULL && found->ai_next == NULL);
    CHECK(found->ai_addrlen <= sizeof address.storage);
    memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
    address.length = found->ai_addrlen;
    freeaddrinfo(found);
    return address;
}

/* Binds a socket to a free port and writes its address to `address`. */
static int bound(const char *host, int type, struct address *address) {
    *address = resolve(host, "0", type);
    int fd = socket(address->storage.ss_family, type, 0);
    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)&address->storage, address->length) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address->storage, &address->length) == 0);
    return fd;
}

static unsigned port_of(const struct address *address) {
    if (address->storage.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
    CHECK(address->storage.ss_family == AF_INET6);
    return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
}

/* Waits until one of `events` occurs. */
static void wait_for(int fd, short events) {
    struct pollfd wanted = {.fd = fd, .events = events};
    CHECK(poll(&wanted, 1, LONG_MS) == 1);
    CHECK((wanted.revents & events) != 0);
}

static void receive_exactly(int fd, const char *expected) {
    size_t length = strlen(expected), have = 0;
    char buffer[100];
    CHECK(length <= sizeof buffer);
    while (have < length) {
        ssize_t count = recv(fd, buffer + have, length - have, 0);
        CHECK(count > 0);
        have += count;
    }
    CHECK(memcmp(buffer, expected, length) == 0);
}

static void tcp_both_ways(const char *host) {
    struct address there, here = {.length = sizeof here.storage}, peer = {.length = sizeof peer.storage};
    char buffer[10];
    int listener = bound(host, SOCK_STREAM, &there);
    CHECK(port_of(&there) != 0);
    CHECK(listen(listener, 5) == 0);

    int client = socket(there.storage.ss_family, SOCK_STREAM, 0);
    CHECK(client >= 0);
    CHECK(connect(client, (struct sockaddr *)&there.storage, there.length) == 0);
    CHECK(getsockname(client, (struct sockaddr *)&here.storage, &here.length) == 0);
    wait_for(listener, POLLIN);
    int server = accept(listener, (struct sockaddr *)&peer.storage, &peer.length);
    CHECK(server >= 0);
    CHECK(port_of(&peer) == port_of(&here));
    CHECK(getpeername(client, (struct sockaddr *)&peer.storage, &peer.length) == 0);
    CHECK(port_of(&peer) == port_of(&there));

    struct pollfd both[] = {{.fd = server, .events = POLLIN}, {.fd = client, .events = POLLIN | POLLOUT}};
    CHECK(poll(both, 2, LONG_MS) == 1);
    CHECK(both[0].revents == 0 && both[1].revents == POLLOUT);
    CHECK(send(client, "question", 8, 0) == 8);
    wait_for(server, POLLIN);
    receive_exactly(server, "question");
    CHECK(send(server, "answer", 6, 0) == 6);
    receive_exactly(client, "answer");

    CHECK(shutdown(client, SHUT_WR) == 0);
    wait_for(server, POLLIN);
    CHECK(recv(server, buffer, sizeof buffer, 0) == 0);
    CHECK(send(server, "later", 5, 0) == 5);
    CHECK(close(server) == 0);
    receive_exactly(client, "later");
    CHECK(recv(client, buffer, sizeof buffer, 0) == 0);
    CHECK(close(client) == 0);

    /* The server's end was closed first: its connection is in TIME-WAIT, but its port can be bound all the same. */
    CHECK(close(listener) == 0);
    listener = socket(there.storage.ss_family, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&there.storage, there.length) == 0);
    CHECK(listen(listener, 5) == 0);
    int rival = socket(there.storage.ss_family, SOCK_STREAM, 0);
    CHECK(bind(rival, (struct sockaddr *)&there.storage, there.length) == -1 && errno == EADDRINUSE);
    CHECK(close(rival) == 0);
    CHECK(close(listener) == 0);
}

static void tcp_nonblocking(const char *host) {
    struct address there;
    char buffer[10];
    int error = -1;
    socklen_t length = sizeof error;
    int listener = bound(host, SOCK_STREAM, &there);
    CHECK(listen(listener, 5) == 0);
    CHECK(ioctl(listener, FIONBIO, &(int){1}) == 0);
    CHECK(accept(listener, NULL, NULL) == -1 && errno == EAGAIN);
    struct pollfd nobody = {.fd = listener, .events = POLLIN};
    CHECK(poll(&nobody, 1, 0) == 0);
    CHECK(poll(&nobody, 1, 20) == 0);

    int client = socket(there.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(client >= 0);
    int connected = connect(client, (struct sockaddr *)&there.storage, there.length);
    CHECK(connected == 0 || errno == EINPROGRESS);
    wait_for(client, POLLOUT);
    CHECK(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &length) == 0);
    CHECK(error == 0);
    wait_for(listener, POLLIN);
    int server = accept(listener, NULL, NULL);
    CHECK(server >= 0);
    CHECK(recv(client, buffer, sizeof buffer, 0) == -1 && errno == EAGAIN);
    CHECK(recv(server, buffer, sizeof buffer, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    CHECK(send(server, "now", 3, 0) == 3);
    wait_for(client, POLLIN);
    receive_exactly(client, "now");

    /* The buffer is full at some point, and has room again after it was read. */
    static char chunk[10000];
    size_t sent = 0, received = 0;
    ssize_t count;
    while ((count = send(client, chunk, sizeof chunk, 0)) > 0) {
        sent += count;
        CHECK(sent < 1u << 30);
    }
    CHECK(count == -1 && errno == EAGAIN);
    while (received < sent) {
        count = recv(server, chunk, sizeof chunk, 0);
        CHECK(count > 0);
        received += count;
    }
    CHECK(received == sent);
    wait_for(client, POLLOUT);
    CHECK(close(client) == 0);
    CHECK(recv(server, chunk, sizeof chunk, 0) == 0);
    CHECK(close(server) == 0);
    CHECK(close(listener) == 0);

    /* No socket listens on the port any more. */
    client = socket(there.storage.ss_family, SOCK_STREAM, 0);
    CHECK(client >= 0);
    CHECK(connect(client, (struct sockaddr *)&there.storage, there.length) == -1 && errno == ECONNREFUSED);
    CHECK(close(client) == 0);
}

static void udp(const char *host) {
    struct address first_address, second_address, from;
    char buffer[100];
    int first = bound(host, SOCK_DGRAM, &first_address);
    int second = bound(host, SOCK_DGRAM, &second_address);

    struct sockaddr *there = (struct sockaddr *)&second_address.storage;
    CHECK(sendto(first, "hello", 5, 0, there, second_address.length) == 5);
    wait_for(second, POLLIN);
    from.length = sizeof from.storage;
    CHECK(recvfrom(second, buffer, sizeof buffer, 0, (struct sockaddr *)&from.storage, &from.length) == 5);
    CHECK(memcmp(buffer, "hello", 5) == 0);
    CHECK(port_of(&from) == port_of(&first_address));
    CHECK(recv(second, buffer, sizeof buffer, MSG_DONTWAIT) == -1 && errno == EAGAIN);

    /* A buffer that is too short gets the first part of the datagram, or the full length is returned. */
    CHECK(sendto(first, "truncated", 9, 0, there, second_address.length) == 9);
    CHECK(recv(second, buffer, 5, 0) == 5);
    CHECK(sendto(first, "truncated", 9, 0, there, second_address.length) == 9);
    CHECK(recv(second, buffer, 5, MSG_TRUNC) == 9);

    /* 1 also means success: some versions of wasi-libc return it here. */
    CHECK(connect(first, there, second_address.length) >= 0);
    CHECK(send(first, "", 0, 0) == 0);
    CHECK(recv(second, buffer, sizeof buffer, 0) == 0);
    CHECK(sendto(second, "back", 4, 0, (struct sockaddr *)&first_address.storage, first_address.length) == 4);
    CHECK(recv(first, buffer, sizeof buffer, 0) == 4);
    CHECK(memcmp(buffer, "back", 4) == 0);
    CHECK(close(second) == 0);
    CHECK(close(first) == 0);
}

static void names(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int ipv4 = 0, ipv6 = 0;
    CHECK(getaddrinfo("localhost", "80", &hints, &found) == 0);
    for (struct addrinfo *entry = found; entry != NULL; entry = entry->ai_next) {
        char text[INET6_ADDRSTRLEN];
        if (entry->ai_family == AF_INET) {
            const struct sockaddr_in *address = (const struct sockaddr_in *)entry->ai_addr;
            CHECK(inet_ntop(AF_INET, &address->sin_addr, text, sizeof text) != NULL);
            CHECK(strcmp(text, "127.0.0.1") == 0);
            ipv4++;
        } else {
            const struct sockaddr_in6 *address = (const struct sockaddr_in6 *)entry->ai_addr;
            CHECK(entry->ai_family == AF_INET6);
            CHECK(inet_ntop(AF_INET6, &address->sin6_addr, text, sizeof text) != NULL);
            CHECK(strcmp(text, "::1") == 0);
            ipv6++;
        }
    }
    freeaddrinfo(found);
    CHECK(ipv4 == 1 && ipv6 == 1);
    CHECK(getaddrinfo("does-not-exist.invalid", "80", &hints, &found) != 0);
}

int main(void) {
    const char *hosts[] = {"127.0.0.1", "::1"};
    for (int i = 0; i < 2; i++) {
        printf("%s\n", hosts[i]);
        fflush(stdout);
        tcp_both_ways(hosts[i]);
        tcp_nonblocking(hosts[i]);
        udp(hosts[i]);
    }
    names();
    return 0;
}
