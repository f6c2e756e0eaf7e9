import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** A sequence whose numbers go to a file, 10 ms apart, each with the microseconds since 1970 at which it was written. */
public final class SequenceToFile {
    private static final Duration PAUSE = Duration.ofMillis(10);

    public static void main(String[] arguments) throws Exception {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        long count = Long.parseLong(arguments[0]);
        env.fromSequence(0, count - 1).sinkTo(new FileSink(arguments[1]));
        env.execute("sequence to file");
    }

    private record FileSink(String path) implements Sink<Long> {
        @Override
        public SinkWriter<Long> createWriter(WriterInitContext context) throws IOException {
            return new FileWriter(path);
        }
    }

    private static final class FileWriter implements SinkWriter<Long> {
        private final BufferedWriter file;

        FileWriter(String path) throws IOException {
            file = Files.newBufferedWriter(Path.of(path), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        }

        @Override
        public void write(Long number, Context context) throws IOException, InterruptedException {
            file.write(number + " " + ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now()) + "\n");
            file.flush();
            Thread.sleep(PAUSE.toMillis());
        }

        @Override
        public void flush(boolean endOfInput) {}

        @Override
        public void close() throws IOException {
            file.close();
        }
    }
}
