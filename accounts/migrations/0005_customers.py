from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_pull_runs'),
    ]

    operations = [
        migrations.CreateModel(
            name='Customer',
            fields=[
                ('togai_id', models.CharField(max_length=255, primary_key=True, serialize=False, verbose_name='customer id')),
                ('name', models.CharField(blank=True, max_length=255)),
                ('pulled_at', models.DateTimeField()),
            ],
        ),
    ]
